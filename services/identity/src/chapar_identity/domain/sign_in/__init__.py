"""Proving that a phone is one's own: challenges with codes, at the phone's partition.

Reasons in order of precedence. StartSignIn: RESEND_TOO_SOON. CompleteSignIn: CHALLENGE_UNKNOWN, CHALLENGE_EXPIRED,
CHALLENGE_EXHAUSTED, CODE_WRONG. A wrong code is an event, because it counts; its refusal is read off the event.
"""
