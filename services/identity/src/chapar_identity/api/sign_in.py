"""StartSignIn and CompleteSignIn.

Reasons of form come first: PHONE_INVALID; DEVICE_INVALID, CHALLENGE_UNKNOWN, CODE_WRONG (a code that no code can be is
not counted as a try). Then those of `domain.sign_in`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.api import Accepted, Caller, CommandRpc
from chapar_chassis.user_ids import UserIds
from chapar_identity.api.challenges import (
    Challenges,
    bound_to_challenge,
    bound_to_phone,
    code_of,
    phone_hash_of,
)
from chapar_identity.api.content import bound_to_device, bound_to_user_phone
from chapar_identity.api.forms import canonical_phone, canonical_title, code_digits
from chapar_identity.api.tokens import RefreshToken, TokenMint
from chapar_identity.domain.reading import document
from chapar_identity.domain.sessions.documents import GENERATION_FIRST
from chapar_identity.domain.sign_in.decide import is_code_right, open_challenge, refusal_of
from chapar_identity.domain.sign_in.documents import Phone, phone_key, phone_subject
from chapar_sourcing.domain import Refused
from chapar_sourcing.partitions import slot_of, slot_prefix
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

PHONE_INVALID = "REASON_PHONE_INVALID"
DEVICE_INVALID = "REASON_DEVICE_INVALID"
CHALLENGE_UNKNOWN = "REASON_CHALLENGE_UNKNOWN"
CODE_WRONG = "REASON_CODE_WRONG"
START_SECONDS_MIN = 0.05
"""Sealing for a number that was never seen makes a key and takes milliseconds longer: within this time the two cannot
be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Both calls of a sign-in."""

    challenges: Challenges
    mint: TokenMint
    sealer: Sealer
    user_ids: UserIds
    randomness: Callable[[int], bytes]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits for seconds."""
    regions: Collection[str] = ()
    """Regions whose phones may sign in; none means all."""

    def commands(self) -> Mapping[str, CommandRpc[Any, Any]]:
        """Both calls by name."""
        return {
            "StartSignIn": CommandRpc(
                prepare=self.prepare_start,
                reply=self.reply_start,
                key_subject=lambda request, _: _slot_subject(slot_prefix(slot_of(request.phone))),
            ),
            "CompleteSignIn": CommandRpc(
                prepare=self.prepare_complete,
                finish=self.finish_complete,
                reply=self.reply_complete,
                key_subject=lambda request, _: _slot_subject(request.challenge_id[:6]),
            ),
        }

    async def prepare_start(self, request: api.StartSignInRequest, caller: Caller, view: View) -> pb.Command | Refused:
        """Draws the code, hashes and seals it and the phone. The same for known and unknown numbers, in as
        much time."""
        phone = canonical_phone(request.phone, self.regions)
        if phone is None:
            return Refused(PHONE_INVALID)
        phone_hash = self.challenges.phone_hash(phone)
        challenge_id = self.challenges.challenge_id(phone, self.randomness(16))
        code = code_of(self.randomness(8))
        subject = phone_subject(phone_hash)
        sealed_phone, sealed_code, _ = await asyncio.gather(
            self.sealer.seal(subject, bound_to_phone(phone_hash), phone.encode()),
            self.sealer.seal(subject, bound_to_challenge(challenge_id), code.encode()),
            self.pause(START_SECONDS_MIN),
        )
        start = pb.StartSignIn(
            phone_hash=phone_hash,
            challenge_id=challenge_id,
            code_mac=self.challenges.code_mac(challenge_id, code),
            phone=sealed_phone,
            code=sealed_code,
        )
        return pb.Command(start_sign_in=start)

    async def reply_start(
        self, request: api.StartSignInRequest, caller: Caller, accepted: Accepted
    ) -> api.StartSignInResponse:
        """What the challenge's event says."""
        started: pb.ChallengeStarted = accepted.events[0].challenge_started
        return api.StartSignInResponse(
            challenge_id=started.challenge_id,
            expire_time_ms=started.expire_time_ms,
            resend_after_ms=started.resend_after_ms,
        )

    async def prepare_complete(
        self, request: api.CompleteSignInRequest, caller: Caller, view: View
    ) -> pb.Command | Refused:
        """Hashes the code; a session is made ready only for a code that seems right, so that guessing costs us no
        keys. Rules of state stay with the domain: a repetition of a completed sign-in passes here."""
        device = canonical_title(request.device)
        if device is None:
            return Refused(DEVICE_INVALID)
        phone_hash = phone_hash_of(request.challenge_id)
        if phone_hash is None:
            return Refused(CHALLENGE_UNKNOWN)
        code = code_digits(request.code)
        if code is None:
            return Refused(CODE_WRONG)
        complete = pb.CompleteSignIn(
            phone_hash=phone_hash,
            challenge_id=request.challenge_id,
            code_mac=self.challenges.code_mac(request.challenge_id, code),
        )
        phone = document(await view.get(phone_key(phone_hash)), phone_key(phone_hash), Phone)
        challenge = open_challenge(phone, request.challenge_id)
        if phone is not None and challenge is not None and is_code_right(challenge, complete.code_mac):
            session = await self._new_session(phone, phone_hash, device, caller)
            if session is not None:
                complete.session.CopyFrom(session)
        return pb.Command(complete_sign_in=complete)

    async def finish_complete(
        self, request: api.CompleteSignInRequest, caller: Caller, accepted: Accepted, view: View
    ) -> Refused | None:
        """A wrong code was journaled because it counts; here it becomes the refusal that it is."""
        event: pb.Event = accepted.events[0]
        return refusal_of(event.code_rejected) if event.HasField("code_rejected") else None

    async def reply_complete(
        self, request: api.CompleteSignInRequest, caller: Caller, accepted: Accepted
    ) -> api.CompleteSignInResponse:
        """The new session and its first tokens."""
        signed_in: pb.SignedIn = accepted.events[0].signed_in
        session = signed_in.session
        first = RefreshToken(session.user_id, session.session_id, GENERATION_FIRST)
        return api.CompleteSignInResponse(
            user_id=session.user_id,
            session_id=session.session_id,
            tokens=self.mint.pair(first, issued_ms=accepted.time_ms),
            new_user=signed_in.new_user,
        )

    async def _new_session(self, phone: Phone, phone_hash: str, device: str, caller: Caller) -> pb.NewSession | None:
        """A session ready to be opened; None when the phone was erased meanwhile."""
        number = await self.sealer.open(phone.phone.sealed(), bound_to_phone(phone_hash))
        if number is None:
            return None
        user_id = phone.user_id or self.user_ids.mint(self.randomness(10))
        session_id = make_request_id(caller.now_ms, self.randomness(10)).hex()
        return pb.NewSession(
            user_id=user_id,
            session_id=session_id,
            device=await self.sealer.seal(user_id, bound_to_device(user_id, session_id), device.encode()),
            phone=await self.sealer.seal(user_id, bound_to_user_phone(user_id), number),
        )


def _slot_subject(prefix: str) -> str:
    """Whose key fingerprints requests of people who have not signed in: as many keys as there are slots, whatever
    strangers send."""
    return f"sign-in:{prefix}"
