"""Whether a challenge starts, what a code is worth, and when a phone is nobody's again."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.limits import CHALLENGE_LIFE_MS, CHALLENGE_TRIES_MAX, DAY_MS
from chapar_identity.domain.reading import document
from chapar_identity.domain.sign_in.documents import ATTEMPTS, Challenge, Phone, phone_key, phone_subject
from chapar_identity.domain.sign_in.rules import resend_delay_ms, run_at, wait_ms
from chapar_sourcing.domain import Documents, Key, Refused
from chapar_sourcing.erasures import erasure_key, erasure_of
from chapar_sourcing.timers import DueTimer

RESEND_TOO_SOON = "REASON_RESEND_TOO_SOON"
CHALLENGE_UNKNOWN = "REASON_CHALLENGE_UNKNOWN"
CHALLENGE_EXPIRED = "REASON_CHALLENGE_EXPIRED"
CHALLENGE_EXHAUSTED = "REASON_CHALLENGE_EXHAUSTED"
CODE_WRONG = "REASON_CODE_WRONG"


def needs(command: pb.Command) -> Sequence[Key]:
    """The phone; to release it the mark of its last erasure, too."""
    match command.WhichOneof("kind"):
        case "start_sign_in":
            return [phone_key(command.start_sign_in.phone_hash)]
        case "forget_attempts":
            return [phone_key(command.forget_attempts.phone_hash)]
        case "release_phone":
            phone_hash = command.release_phone.phone_hash
            return [phone_key(phone_hash), erasure_key(phone_subject(phone_hash))]
        case _:
            return [phone_key(command.complete_sign_in.phone_hash)]


def decide(documents: Documents, command: pb.Command, now_ms: int) -> Sequence[pb.Event] | Refused:
    """One challenge, one try or the end of a number's use."""
    match command.WhichOneof("kind"):
        case "start_sign_in":
            return _start(documents, command.start_sign_in, now_ms)
        case "forget_attempts":
            return _forget(documents, command.forget_attempts)
        case "release_phone":
            return _release(documents, command.release_phone, now_ms)
        case _:
            return _complete(documents, command.complete_sign_in, now_ms)


def _start(documents: Documents, command: pb.StartSignIn, now_ms: int) -> Sequence[pb.Event] | Refused:
    phone = document(documents, phone_key(command.phone_hash), Phone)
    wait = wait_ms(phone, now_ms)
    if wait > 0:
        return Refused(RESEND_TOO_SOON, {"retry_after_ms": str(wait)})
    started = pb.ChallengeStarted(
        phone_hash=command.phone_hash,
        challenge_id=command.challenge_id,
        code_mac=command.code_mac,
        phone=command.phone,
        code=command.code,
        expire_time_ms=now_ms + CHALLENGE_LIFE_MS,
        resend_after_ms=resend_delay_ms(run_at(phone, now_ms) + 1),
        forget_time_ms=now_ms + DAY_MS,
        cancelled_forget_time_ms=phone.forget_at_ms if phone and phone.forget_at_ms != now_ms + DAY_MS else 0,
    )
    return [pb.Event(challenge_started=started)]


def _complete(documents: Documents, command: pb.CompleteSignIn, now_ms: int) -> Sequence[pb.Event] | Refused:
    phone = document(documents, phone_key(command.phone_hash), Phone)
    challenge = open_challenge(phone, command.challenge_id)
    if phone is None or challenge is None:
        return Refused(CHALLENGE_UNKNOWN)
    if is_expired(challenge, now_ms):
        return Refused(CHALLENGE_EXPIRED)
    if is_exhausted(challenge):
        return Refused(CHALLENGE_EXHAUSTED)
    if not is_code_right(challenge, command.code_mac):
        return [_rejected(command, challenge)]
    if not _is_prepared_for(phone, command):
        # The sign-in was prepared on a state that did not last; the challenge stays as it is, for another request.
        return Refused(CHALLENGE_UNKNOWN)
    signed_in = pb.SignedIn(
        phone_hash=command.phone_hash,
        challenge_id=command.challenge_id,
        session=command.session,
        new_user=not phone.user_id,
    )
    return [pb.Event(signed_in=signed_in)]


def _release(documents: Documents, command: pb.ReleasePhone, now_ms: int) -> Sequence[pb.Event]:
    phone = document(documents, phone_key(command.phone_hash), Phone)
    if phone is None or phone.user_id != command.user_id:
        return []
    erasure = erasure_of(documents, phone_subject(command.phone_hash), now_ms)
    released = pb.PhoneReleased(phone_hash=command.phone_hash, user_id=command.user_id, erasure=erasure)
    return [pb.Event(phone_released=released)]


def _forget(documents: Documents, command: pb.ForgetAttempts) -> Sequence[pb.Event]:
    phone = document(documents, phone_key(command.phone_hash), Phone)
    if phone is None or phone.forget_at_ms != command.forget_time_ms:
        return []
    forgotten = pb.AttemptsForgotten(phone_hash=command.phone_hash, forget_time_ms=command.forget_time_ms)
    return [pb.Event(attempts_forgotten=forgotten)]


def due(timer: DueTimer) -> pb.Command:
    """The command of a due timer."""
    about, _, phone_hash = timer.subject.partition("/")
    if about != ATTEMPTS:
        raise ValueError(f"a timer about {about!r}, not {ATTEMPTS!r}")
    return pb.Command(forget_attempts=pb.ForgetAttempts(phone_hash=phone_hash, forget_time_ms=timer.due_ms))


def open_challenge(phone: Phone | None, challenge_id: str) -> Challenge | None:
    """The phone's challenge, if it is the one named."""
    if phone is None or phone.challenge is None or phone.challenge.challenge_id != challenge_id:
        return None
    return phone.challenge


def is_expired(challenge: Challenge, now_ms: int) -> bool:
    """Whether the challenge's time is over."""
    return now_ms >= challenge.expire_time_ms


def is_exhausted(challenge: Challenge) -> bool:
    """Whether all tries were wrong."""
    return challenge.wrong_tries >= CHALLENGE_TRIES_MAX


def is_code_right(challenge: Challenge, code_mac: bytes) -> bool:
    """Whether the code is the one that was sent; takes no time that depends on where they differ."""
    return hmac.compare_digest(challenge.code_mac, code_mac)


def _is_prepared_for(phone: Phone, command: pb.CompleteSignIn) -> bool:
    return command.HasField("session") and phone.user_id in ("", command.session.user_id)


def _rejected(command: pb.CompleteSignIn, challenge: Challenge) -> pb.Event:
    tries_left = CHALLENGE_TRIES_MAX - challenge.wrong_tries - 1
    return pb.Event(
        code_rejected=pb.CodeRejected(
            phone_hash=command.phone_hash, challenge_id=command.challenge_id, tries_left=tries_left
        )
    )


def refusal_of(rejected: pb.CodeRejected) -> Refused:
    """How a wrong try is answered, the first time and whenever it is repeated."""
    if rejected.tries_left == 0:
        return Refused(CHALLENGE_EXHAUSTED)
    return Refused(CODE_WRONG, {"tries_left": str(rejected.tries_left)})
