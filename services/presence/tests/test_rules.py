"""What commands do, by table; facts repeated and out of order; what is shown and published of events."""

from __future__ import annotations

import itertools

import pytest

from chapar.presence.events.v1 import events_pb2 as events
from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar.presence.v1.presence_pb2 import Presence
from chapar_presence.domain import PresenceDomain
from chapar_presence.domain.documents import (
    DEPARTURE_KEPT_MS,
    Membership,
    OnlineMark,
    UserPresence,
    forget_key,
    membership_key,
    offline_key,
    online_key,
    presence_key,
)
from chapar_presence.published import TOPIC, public_event
from chapar_presence.watch import detaches_of, hints_of
from chapar_sourcing.domain import Document, Key, Refused, When, decode, encode
from chapar_sourcing.hosting import Detach
from chapar_sourcing.timers import TIMER_KIND, Timer, due_timer

DOMAIN = PresenceDomain()


def come_online(user_id: str = "sara") -> journal.Command:
    return journal.Command(come_online=journal.ComeOnline(user_id=user_id))


def depart(last_seen_ms: int, offline_at_ms: int, user_id: str = "sara") -> journal.Command:
    return journal.Command(
        depart=journal.Depart(user_id=user_id, last_seen_time_ms=last_seen_ms, offline_time_ms=offline_at_ms)
    )


def due(key: Key, payload: bytes = b"") -> journal.Command:
    """What the timer under a key makes."""
    return DOMAIN.due(due_timer(key.id, Timer(payload)))


def go_offline(last_seen_ms: int, due_ms: int) -> journal.Command:
    return due(offline_key("sara", due_ms), str(last_seen_ms).encode())


def forget(due_ms: int) -> journal.Command:
    return due(forget_key("sara", due_ms))


def fact(change_sequence: int, *, member: bool, user_id: str = "sara", conversation: str = "g") -> journal.Command:
    return journal.Command(
        record_membership=journal.RecordMembership(
            user_id=user_id, conversation_id=conversation, member=member, change_sequence=change_sequence
        )
    )


def documents_after(*commands: journal.Command) -> dict[Key, Document]:
    """The documents after commands at 1 ms, 2 ms, and so on."""
    documents: dict[Key, Document] = {}
    for now_ms, command in enumerate(commands, start=1):
        needed = DOMAIN.needs(command)
        outcome = DOMAIN.decide({k: documents[k] for k in needed if k in documents}, command, now_ms)
        assert not isinstance(outcome, Refused)
        for event in outcome:
            for key in DOMAIN.touches(event):
                assert key in needed or key.kind == TIMER_KIND
                document = DOMAIN.evolve(key, documents.get(key), event, When(now_ms))
                if document is None:
                    documents.pop(key)
                else:
                    documents[key] = decode(DOMAIN.documents, key, encode(document))
    return documents


ONLINE = {presence_key("sara"): UserPresence(online=True), online_key("sara"): OnlineMark(1)}
DEPARTING = {
    presence_key("sara"): UserPresence(online=True, offline_at_ms=9),
    online_key("sara"): OnlineMark(1, departing=True),
    offline_key("sara", 9): Timer(b"5"),
}
FORGET_MS = 3 + DEPARTURE_KEPT_MS
"""When the third command's departure is forgotten."""
OFFLINE = {
    presence_key("sara"): UserPresence(False, 5, forget_at_ms=FORGET_MS),
    forget_key("sara", FORGET_MS): Timer(),
}


@pytest.mark.parametrize(
    ("commands", "after"),
    [
        ([come_online()], ONLINE),
        ([come_online(), come_online()], ONLINE),
        ([depart(5, 9)], {}),
        ([come_online(), depart(5, 9)], DEPARTING),
        ([come_online(), depart(5, 9), depart(6, 10)], DEPARTING),
        ([come_online(), depart(5, 9), come_online()], ONLINE),
        ([come_online(), depart(5, 9), come_online(), go_offline(5, 9)], ONLINE),
        ([come_online(), depart(5, 9), go_offline(5, 9)], OFFLINE),
        ([come_online(), depart(5, 9), go_offline(5, 9), go_offline(5, 9)], OFFLINE),
        ([come_online(), depart(5, 9), go_offline(5, 9), depart(7, 11)], OFFLINE),
        ([come_online(), depart(5, 9), go_offline(5, 9), forget(FORGET_MS)], {}),
        (
            [come_online(), depart(5, 9), go_offline(5, 9), come_online(), forget(FORGET_MS)],
            {presence_key("sara"): UserPresence(online=True), online_key("sara"): OnlineMark(4)},
        ),
    ],
)
def test_coming_and_going(commands: list[journal.Command], after: dict[Key, Document]) -> None:
    assert documents_after(*commands) == after


def test_an_event_from_before_timers_sets_none() -> None:
    went = journal.Event(went_offline=journal.WentOffline(user_id="sara", last_seen_time_ms=7))
    assert DOMAIN.touches(went) == [presence_key("sara"), online_key("sara")]
    assert DOMAIN.evolve(presence_key("sara"), None, went, When(1)) == UserPresence(False, 7)


def test_newest_fact_holds_in_whatever_order_and_however_often_facts_arrive() -> None:
    facts = [fact(1, member=True), fact(2, member=False), fact(5, member=True), fact(9, member=False)]
    for order in itertools.permutations([*facts, facts[0], facts[2]]):
        assert documents_after(*order) == {membership_key("sara", "g"): Membership(member=False, change_sequence=9)}


def test_facts_of_other_users_and_conversations_do_not_meet() -> None:
    documents = documents_after(
        fact(3, member=True),
        fact(1, member=True, conversation="h"),
        fact(4, member=False, user_id="omid"),
    )
    assert documents == {
        membership_key("sara", "g"): Membership(True, 3),
        membership_key("sara", "h"): Membership(True, 1),
        membership_key("omid", "g"): Membership(False, 4),
    }


CAME = journal.Event(came_online=journal.CameOnline(user_id="sara"))
WENT = journal.Event(went_offline=journal.WentOffline(user_id="sara", last_seen_time_ms=7))
BEGAN = journal.Event(departure_began=journal.DepartureBegan(user_id="sara", last_seen_time_ms=7, offline_time_ms=9))
FORGOTTEN = journal.Event(departure_forgotten=journal.DepartureForgotten(user_id="sara", forget_time_ms=9))
LEFT = journal.Event(
    membership_recorded=journal.MembershipRecorded(user_id="sara", conversation_id="g", change_sequence=2)
)
JOINED = journal.Event(
    membership_recorded=journal.MembershipRecorded(user_id="sara", conversation_id="g", member=True, change_sequence=1)
)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (CAME, [Presence(user_id="sara", online=True)]),
        (WENT, [Presence(user_id="sara", last_seen_time_ms=7)]),
        (BEGAN, []),
        (FORGOTTEN, [Presence(user_id="sara")]),
        (JOINED, []),
        (LEFT, []),
    ],
)
def test_watchers_are_shown_the_presence_after_an_event(event: journal.Event, shown: list[Presence]) -> None:
    assert [(key, Presence.FromString(hint)) for key, hint in hints_of(event, 1)] == [("sara", p) for p in shown]


@pytest.mark.parametrize(
    ("event", "ends"),
    [(CAME, []), (WENT, []), (JOINED, []), (LEFT, [Detach(key="sara", basis="g", reason="MEMBERSHIP_ENDED")])],
)
def test_watches_end_with_the_membership_they_rest_on(event: journal.Event, ends: list[Detach]) -> None:
    assert list(detaches_of(event, 1)) == ends


@pytest.mark.parametrize(
    ("event", "published"),
    [
        (CAME, (TOPIC, events.Event(came_online=events.CameOnline(user_id="sara")))),
        (WENT, (TOPIC, events.Event(went_offline=events.WentOffline(user_id="sara", last_seen_time_ms=7)))),
        (BEGAN, None),
        (FORGOTTEN, None),
        (LEFT, None),
    ],
)
def test_comings_and_goings_are_published_and_memberships_are_not(event: journal.Event, published: object) -> None:
    assert public_event(event, When(1)) == published
