"""Numbers that rules depend on."""

from __future__ import annotations

CHALLENGE_LIFE_MS = 2 * 60 * 1000
"""How long a code is good."""

CHALLENGE_TRIES_MAX = 5
"""Wrong codes that end a challenge."""

RESEND_DELAY_FIRST_MS = 30 * 1000
"""Until the second code of a run may be asked for; doubles with each code."""

RESEND_DELAY_MS_MAX = 60 * 60 * 1000

DAY_MS = 24 * 60 * 60 * 1000
"""A run of codes ends after a day without one; a day's codes are counted from its first. So a day after the last code
nothing of them counts any more, and all is forgotten."""

CHALLENGES_A_DAY_MAX = 20
"""Codes a phone gets within a day."""

SESSIONS_MAX = 20
"""Open sessions of a user; one more ends the oldest."""

ENDED_SESSIONS_MAX = 20
"""Ended sessions that are remembered, so that calls with their tokens are refused without waiting."""

DECIDED_WISHES_MAX = 16
"""Outcomes of username wishes that are remembered, so that a repeated request gets its own answer."""
