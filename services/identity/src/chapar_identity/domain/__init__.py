"""The rules of identity, put together: which kind of document each command and event is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from google.protobuf.message import Message

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.sessions import decide as sessions
from chapar_identity.domain.sessions.documents import SESSIONS_KIND, Sessions
from chapar_identity.domain.sessions.evolve import evolve_sessions
from chapar_identity.domain.sessions.evolve import touches as sessions_touches
from chapar_identity.domain.sign_in import decide as sign_in
from chapar_identity.domain.sign_in.documents import PHONE_KIND, Phone
from chapar_identity.domain.sign_in.evolve import evolve_phone, evolve_timer
from chapar_identity.domain.sign_in.evolve import touches as sign_in_touches
from chapar_identity.domain.usernames import decide as usernames
from chapar_identity.domain.usernames.documents import NAMING_KIND, USERNAME_KIND, Naming, Username
from chapar_identity.domain.usernames.evolve import evolve_naming, evolve_username
from chapar_identity.domain.usernames.evolve import touches as usernames_touches
from chapar_identity.domain.users import decide as users
from chapar_identity.domain.users import erasing
from chapar_identity.domain.users.documents import USER_KIND, User
from chapar_identity.domain.users.evolve import evolve_user
from chapar_identity.domain.users.evolve import touches as users_touches
from chapar_sourcing.creations import CREATION_KIND, CreationMark, creation_key, moved
from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.erasures import ERASURE_KIND, ErasureMark, marked
from chapar_sourcing.timers import TIMER_KIND, DueTimer, Timer

SERVICE = "identity"

Needs: TypeAlias = Callable[[pb.Command], Sequence[Key]]
Decide: TypeAlias = Callable[[Documents, pb.Command, int], Sequence[pb.Event] | Refused]
Evolve: TypeAlias = Callable[[Key, Document | None, pb.Event, When], Document | None]


class Rules(NamedTuple):
    """What decides a command."""

    needs: Needs
    decide: Decide


_SIGN_IN = Rules(sign_in.needs, sign_in.decide)
_SESSIONS = Rules(sessions.needs, sessions.decide)
_USERS = Rules(users.needs, users.decide)
_USERNAMES = Rules(usernames.needs, usernames.decide)

RULES: Mapping[str, Rules] = {
    "start_sign_in": _SIGN_IN,
    "complete_sign_in": _SIGN_IN,
    "release_phone": _SIGN_IN,
    "open_session": _SESSIONS,
    "refresh_tokens": _SESSIONS,
    "revoke_session": _SESSIONS,
    "update_profile": _USERS,
    "erase_user": Rules(erasing.needs, erasing.decide),
    "set_username": _USERNAMES,
    "reserve_username": _USERNAMES,
    "confirm_username": _USERNAMES,
    "reject_username": _USERNAMES,
    "release_username": _USERNAMES,
    "forget_attempts": _SIGN_IN,
}
"""By kind of command; a test compares it with the proto."""


def _evolve_mark(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    return moved(event.creation)


def _evolve_erasure(key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
    ended = event.user_erased if event.HasField("user_erased") else event.phone_released
    return marked(ended.erasure)


EVOLVE: Mapping[str, Evolve] = {
    PHONE_KIND: evolve_phone,
    USER_KIND: evolve_user,
    SESSIONS_KIND: evolve_sessions,
    NAMING_KIND: evolve_naming,
    USERNAME_KIND: evolve_username,
    CREATION_KIND: _evolve_mark,
    ERASURE_KIND: _evolve_erasure,
    TIMER_KIND: evolve_timer,
}

DOCUMENTS: Mapping[str, type[Document]] = {
    PHONE_KIND: Phone,
    USER_KIND: User,
    SESSIONS_KIND: Sessions,
    NAMING_KIND: Naming,
    USERNAME_KIND: Username,
    CREATION_KIND: CreationMark,
    ERASURE_KIND: ErasureMark,
    TIMER_KIND: Timer,
}


class IdentityDomain:
    """Identity's `Domain`."""

    service = SERVICE
    command_type: type[Message] = pb.Command
    event_type: type[pb.Event] = pb.Event
    documents: Mapping[str, type[Document]] = DOCUMENTS
    journals_refusals = False
    keeps_answers = False

    def needs(self, command: pb.Command) -> Sequence[Key]:
        """The documents that deciding reads."""
        return _rules_of(command).needs(command)

    def decide(self, documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
        """What happens, or why nothing does."""
        return _rules_of(command).decide(documents, command, now_ms)

    def due(self, timer: DueTimer) -> pb.Command:
        """What a due timer does: all timers are of phones."""
        return sign_in.due(timer)

    def touches(self, event: pb.Event) -> Sequence[Key]:
        """The documents that an event changes."""
        mark = [creation_key(event.creation)] if event.HasField("creation") else []
        return [
            *mark,
            *sign_in_touches(event),
            *users_touches(event),
            *sessions_touches(event),
            *usernames_touches(event),
        ]

    def evolve(self, key: Key, document: Document | None, event: pb.Event, when: When) -> Document | None:
        """One document after the event."""
        return EVOLVE[key.kind](key, document, event, when)


def _rules_of(command: pb.Command) -> Rules:
    kind = command.WhichOneof("kind")
    if kind is None:
        raise ValueError("a command must say what is wanted")
    return RULES[kind]
