"""Given, when, then for the rules of identity: an owner without a log, that checks what the engine relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.sourcing.journal.v1 import journal_pb2 as engine
from chapar_identity.domain import DOCUMENTS, IdentityDomain
from chapar_identity.domain.sessions.documents import Sessions, sessions_key
from chapar_identity.domain.sign_in.documents import Phone, phone_key
from chapar_identity.domain.usernames.documents import Naming, naming_key
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.domain import Document, Key, Refused, When, decode, encode
from chapar_sourcing.timers import TIMER_KIND, Timer, due_timer

ARASH, BAHAR, CYRUS = (letter * 26 for letter in "abc")
PHONE = "1" + "p" * 26
RIGHT, WRONG = b"right", b"wrong"
SEALED = engine.Sealed(key_id="key", nonce=bytes(12), ciphertext=b"sealed")


@dataclass
class Play:
    """Documents, events so far, and a clock that stands until it is moved."""

    documents: dict[Key, Document] = field(default_factory=dict)
    events: list[pb.Event] = field(default_factory=list)
    now_ms: int = 1_000_000_000
    domain: IdentityDomain = field(default_factory=IdentityDomain)

    def when(self, command: pb.Command) -> Sequence[pb.Event] | Refused:
        """Decides, and applies what was decided."""
        needed = list(self.domain.needs(command))
        assert len(needed) == len(set(needed))
        known = {key: self.documents[key] for key in needed if key in self.documents}
        decision = self.domain.decide(known, command, self.now_ms)
        if not isinstance(decision, Refused):
            for event in decision:
                self._apply(event, needed)
        return decision

    def given(self, *commands: pb.Command) -> Play:
        """Decides commands that must be accepted."""
        for command in commands:
            decision = self.when(command)
            assert not isinstance(decision, Refused), decision
        return self

    def later(self, ms: int) -> Play:
        """Moves the clock; what is due by then happens, as the engine would have it."""
        self.now_ms += ms
        for key in sorted(key for key in self.documents if key.kind == TIMER_KIND):
            timer = self.documents.get(key)
            if isinstance(timer, Timer) and due_timer(key.id, timer).due_ms <= self.now_ms:
                self.when(self.domain.due(due_timer(key.id, timer)))
                assert key not in self.documents, "what a timer does deletes it"
        return self

    def phone(self, phone_hash: str = PHONE) -> Phone:
        """A phone."""
        document = self.documents[phone_key(phone_hash)]
        assert isinstance(document, Phone)
        return document

    def user(self, user_id: str = ARASH) -> User | None:
        """A user, if registered."""
        document = self.documents.get(user_key(user_id))
        assert document is None or isinstance(document, User)
        return document

    def sessions(self, user_id: str = ARASH) -> Sessions:
        """A user's sessions."""
        document = self.documents.get(sessions_key(user_id), Sessions(()))
        assert isinstance(document, Sessions)
        return document

    def naming(self, user_id: str = ARASH) -> Naming:
        """A user's naming."""
        document = self.documents.get(naming_key(user_id), Naming())
        assert isinstance(document, Naming)
        return document

    def _apply(self, event: pb.Event, needed: Sequence[Key]) -> None:
        stored = pb.Event.FromString(event.SerializeToString())
        touched = self.domain.touches(stored)
        assert len(touched) == len(set(touched))
        for key in touched:
            assert key in needed or key.kind == TIMER_KIND
            document = self.domain.evolve(key, self.documents.get(key), stored, When(self.now_ms))
            if document is None:
                self.documents.pop(key)
                continue
            assert decode(DOCUMENTS, key, encode(document)) == document
            self.documents[key] = document
        self.events.append(stored)


def kinds(decision: Sequence[pb.Event] | Refused) -> list[str]:
    """The kinds of the events of an accepted command."""
    assert not isinstance(decision, Refused), decision
    return [event.WhichOneof("kind") or "" for event in decision]


def reason(decision: Sequence[pb.Event] | Refused) -> str:
    """The reason of a refusal, without its prefix; empty for an accepted command."""
    return decision.reason.removeprefix("REASON_") if isinstance(decision, Refused) else ""


def start(number: int = 1, phone_hash: str = PHONE) -> pb.Command:
    """A challenge whose right code is `RIGHT`."""
    command = pb.StartSignIn(
        phone_hash=phone_hash, challenge_id=f"challenge-{number}", code_mac=RIGHT, phone=SEALED, code=SEALED
    )
    return pb.Command(start_sign_in=command)


def complete(
    code_mac: bytes = RIGHT, *, number: int = 1, user_id: str = ARASH, session_number: int = 1, phone_hash: str = PHONE
) -> pb.Command:
    """A try of a code, prepared for it to be right."""
    command = pb.CompleteSignIn(
        phone_hash=phone_hash,
        challenge_id=f"challenge-{number}",
        code_mac=code_mac,
        session=new_session(user_id, session_number),
    )
    return pb.Command(complete_sign_in=command)


def new_session(user_id: str = ARASH, number: int = 1) -> pb.NewSession:
    """What a sign-in makes."""
    return pb.NewSession(user_id=user_id, session_id=session_id(number), device=SEALED, phone=SEALED)


def session_id(number: int) -> str:
    """Ids of sessions are in order of time."""
    return f"{number:032x}"


def open_session(user_id: str = ARASH, number: int = 1, *, offset: int = 1, previous: int | None = None) -> pb.Command:
    """A session carried over by the reactor of partition 7."""
    creation = engine.Creation(source="identity", source_partition=7, position=engine.SourcePosition(offset=offset))
    if previous is not None:
        creation.previous.offset = previous
    opened = pb.OpenSession(session=new_session(user_id, number), create_time_ms=5)
    return pb.Command(creation=creation, open_session=opened)


def signed_in(*user_ids: str) -> Play:
    """Users with session number 1 each, opened one after the other."""
    play = Play()
    for place, user_id in enumerate(user_ids):
        command = open_session(user_id, 1, offset=place + 1, previous=place or None)
        play.given(command)
    return play


def refresh(generation: int, *, number: int = 1, user_id: str = ARASH) -> pb.Command:
    """An authentic refresh token."""
    return pb.Command(
        refresh_tokens=pb.RefreshTokens(user_id=user_id, session_id=session_id(number), generation=generation)
    )


def revoke(number: int, *, caller_number: int = 1, user_id: str = ARASH) -> pb.Command:
    """One of one's own sessions to end."""
    wanted = pb.RevokeSession(
        user_id=user_id, caller_session_id=session_id(caller_number), session_id=session_id(number)
    )
    return pb.Command(revoke_session=wanted)


def update_profile(user_id: str = ARASH, *, caller_number: int = 1) -> pb.Command:
    """A new name."""
    return pb.Command(
        update_profile=pb.UpdateProfile(user_id=user_id, caller_session_id=session_id(caller_number), name=SEALED)
    )


def set_username(username: str, user_id: str = ARASH, *, caller_number: int = 1) -> pb.Command:
    """A wish."""
    wanted = pb.SetUsername(user_id=user_id, caller_session_id=session_id(caller_number), username=username)
    return pb.Command(set_username=wanted)


def reserve(username: str, user_id: str = ARASH, wish: int = 1) -> pb.Command:
    """A wish where the username lives."""
    return pb.Command(reserve_username=pb.ReserveUsername(username=username, user_id=user_id, wish=wish))


def confirm(username: str, user_id: str = ARASH, wish: int = 1) -> pb.Command:
    """A reservation, told home."""
    return pb.Command(confirm_username=pb.ConfirmUsername(username=username, user_id=user_id, wish=wish))


def reject(username: str, user_id: str = ARASH, wish: int = 1) -> pb.Command:
    """A username found taken, told home."""
    return pb.Command(reject_username=pb.RejectUsername(username=username, user_id=user_id, wish=wish))


def release(username: str, user_id: str = ARASH, wish: int = 1) -> pb.Command:
    """A reservation given back."""
    return pb.Command(release_username=pb.ReleaseUsername(username=username, user_id=user_id, wish=wish))
