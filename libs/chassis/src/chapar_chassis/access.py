"""What each service's user may do on brokers and in the database: no more than its processes do.

The page of it, the charts and a test on a real broker are made from this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chapar_chassis.ports import REVOCATIONS_TOPIC, published_topics
from chapar_chassis.secrets import OWNERS, SERVICES
from chapar_sourcing.adapters.kafka import journal_layout, members_layouts

READ: Sequence[str] = ("Read", "Describe")
WRITE: Sequence[str] = ("Read", "Write", "Describe", "DescribeConfigs")
"""Of what a service owns: it reads back what it wrote, and looks at the settings when it starts."""
USER_PREFIX = "chapar-"
BEATS: Mapping[str, Sequence[str]] = {"identity": (REVOCATIONS_TOPIC,)}
"""Streams of a service beside its events."""
FOLLOWS: Mapping[str, Sequence[str]] = {
    "messaging": ("identity.events.v1", "payments.events.v1"),
    "presence": ("messaging.events.v1",),
    "payments": ("identity.events.v1",),
    "gateway": (REVOCATIONS_TOPIC,),
}
"""Streams of others that a service reads."""
CALLS: Mapping[str, Sequence[str]] = {"gateway": OWNERS}
"""Services whose owners a service looks for, beside its own."""


@dataclass(frozen=True, slots=True)
class TopicRule:
    """What a user may do with one topic, by that very name; operations as Kafka calls them."""

    topic: str
    operations: Sequence[str]


def user_of(service: str) -> str:
    """What a service's user is called, on brokers and in the database, unless an operator chooses another name."""
    return USER_PREFIX + service


def topic_rules(service: str) -> Sequence[TopicRule]:
    """All that a service's user may do on the brokers, in the order of topics. Raises `KeyError` for no service."""
    if service not in SERVICES:
        raise KeyError(service)
    rules = dict.fromkeys(FOLLOWS.get(service, ()), READ)
    rules |= {layout.name: READ for other in CALLS.get(service, ()) for layout in members_layouts(other)}
    if service in OWNERS:
        streams = [topic.name for topic in published_topics(service, BEATS.get(service, ()))]
        own = [layout.name for layout in (journal_layout(service, partitions=1), *members_layouts(service))]
        rules |= dict.fromkeys([*own, *streams], WRITE)
    return [TopicRule(topic, operations) for topic, operations in sorted(rules.items())]


def database_of(service: str, prefix: str = "chapar") -> str | None:
    """The one database in which a service's user has the role `readWrite`; None for who keeps nothing."""
    return f"{prefix}_{service}" if service in OWNERS else None
