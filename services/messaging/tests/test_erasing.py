from __future__ import annotations

from typing import cast

from chapar.identity.events.v1 import events_pb2 as identity
from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain import MessagingDomain
from chapar_messaging.reactors.erasures import EraseContents
from chapar_sourcing.domain import Document, Key, Refused, When
from chapar_sourcing.erasures import LAST_PERIOD_MS, ErasureMark, erasure_key
from chapar_sourcing.positions import Position
from chapar_sourcing.reactions import Source
from chapar_sourcing.view import View

ARASH = "a" * 26
ERASE = journal.Command(erase_content=journal.EraseContent(user_id=ARASH))
SOURCE = Source("identity.events.v1", 0, Position(1, 0), 5)
NO_VIEW = cast(View, None)


def test_the_end_of_a_user_ends_their_keys_once() -> None:
    domain = MessagingDomain()
    assert domain.needs(ERASE) == [erasure_key(ARASH)]
    decision = domain.decide({}, ERASE, 7)
    assert not isinstance(decision, Refused)
    (event,) = decision
    (key,) = domain.touches(event)
    mark = domain.evolve(key, None, event, When(7))
    assert (key, mark) == (erasure_key(ARASH), ErasureMark(LAST_PERIOD_MS))
    held: dict[Key, Document] = {key: ErasureMark(LAST_PERIOD_MS)}
    assert domain.decide(held, ERASE, 8) == []


async def test_a_user_who_ended_in_identity_ends_here() -> None:
    erased = identity.Event(user_erased=identity.UserErased(user_id=ARASH))
    (submit,) = await EraseContents().react(erased, SOURCE, NO_VIEW)
    assert (submit.key, submit.command, submit.creation) == (ARASH, ERASE, False)
    registered = identity.Event(user_registered=identity.UserRegistered(user_id=ARASH))
    assert await EraseContents().react(registered, SOURCE, NO_VIEW) == []
