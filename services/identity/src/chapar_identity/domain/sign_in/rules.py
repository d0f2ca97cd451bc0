"""When a code may be sent."""

from __future__ import annotations

from chapar_identity.domain.limits import (
    CHALLENGES_A_DAY_MAX,
    DAY_MS,
    RESEND_DELAY_FIRST_MS,
    RESEND_DELAY_MS_MAX,
)
from chapar_identity.domain.sign_in.documents import Phone


def resend_delay_ms(run: int) -> int:
    """How long to wait after the code number `run` of a run, from 1."""
    doublings = min(run - 1, 20)
    return min(RESEND_DELAY_FIRST_MS << doublings, RESEND_DELAY_MS_MAX)


def run_at(phone: Phone | None, now_ms: int) -> int:
    """Codes of the run that a code sent now would continue; 0 after a quiet day."""
    if phone is None or now_ms - phone.last_start_ms >= DAY_MS:
        return 0
    return phone.run


def day_at(phone: Phone | None, now_ms: int) -> tuple[int, int]:
    """(start, codes so far) of the day that a code sent now would count in."""
    if phone is None or now_ms - phone.day_start_ms >= DAY_MS:
        return now_ms, 0
    return phone.day_start_ms, phone.day_count


def wait_ms(phone: Phone | None, now_ms: int) -> int:
    """How long until the next code may be sent; 0 for now."""
    if phone is None:
        return 0
    run = run_at(phone, now_ms)
    day_start_ms, day_count = day_at(phone, now_ms)
    until_ms = [now_ms]
    if run:
        until_ms.append(phone.last_start_ms + resend_delay_ms(run))
    if day_count >= CHALLENGES_A_DAY_MAX:
        until_ms.append(day_start_ms + DAY_MS)
    return max(until_ms) - now_ms
