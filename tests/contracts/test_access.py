"""What users may do is what their services do: the table of rights against the services' own wiring."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from chapar_chassis.access import BEATS, FOLLOWS, READ, WRITE, database_of, topic_rules
from chapar_chassis.process import OwnerService
from chapar_chassis.secrets import OWNERS, SERVICES
from chapar_gateway.revocations import TOPIC as REVOCATIONS
from chapar_identity.__main__ import SERVICE as IDENTITY
from chapar_messaging.__main__ import SERVICE as MESSAGING
from chapar_payments.__main__ import build_service as build_payments
from chapar_presence.__main__ import build_service
from tools.access_reference import TARGET, page

WIRED = {service.domain.service: service for service in (IDENTITY, MESSAGING, build_payments(), build_service())}


@pytest.mark.parametrize("name", OWNERS)
def test_a_service_may_read_the_streams_that_its_reactors_follow(name: str) -> None:
    service: OwnerService = WIRED[name]
    followed = {reaction.topic for reaction in service.reactions(MagicMock())} - {None}
    assert followed == {*FOLLOWS.get(name, ())}
    assert [*service.beat_topics] == [*BEATS.get(name, ())]


def test_a_gateway_reads_revocations_and_where_owners_are_and_writes_nothing() -> None:
    rules = {rule.topic: rule.operations for rule in topic_rules("gateway")}
    places = {f"{owner}.{topic}.v1" for owner in OWNERS for topic in ("members", "owners")}
    assert rules == dict.fromkeys({REVOCATIONS} | places, READ)
    assert database_of("gateway") is None


def test_every_topic_has_one_writer() -> None:
    writers: dict[str, list[str]] = {}
    for service in SERVICES:
        for rule in topic_rules(service):
            assert rule.operations in (READ, WRITE)
            if rule.operations == WRITE:
                writers.setdefault(rule.topic, []).append(service)
    assert {topic: len(found) for topic, found in writers.items()} == dict.fromkeys(writers, 1)
    read = {rule.topic for service in SERVICES for rule in topic_rules(service)}
    assert read == {*writers}


def test_nobody_reads_anothers_journal() -> None:
    for service in SERVICES:
        journals = {rule.topic for rule in topic_rules(service) if rule.topic.endswith(".journal")}
        assert journals == ({f"{service}.journal"} if service in OWNERS else set())


def test_what_is_no_service_has_no_rules() -> None:
    with pytest.raises(KeyError):
        topic_rules("operator")


def test_the_page_is_what_the_table_says() -> None:
    assert TARGET.read_text(encoding="utf-8") == page()
