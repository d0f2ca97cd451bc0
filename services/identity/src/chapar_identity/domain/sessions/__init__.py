"""Open sessions and their refresh tokens, at the user's partition.

Reasons in order of precedence. RefreshTokens: REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED. RevokeSession:
SESSION_ENDED (the one that asks), SESSION_UNKNOWN (the one to end). A reused token is an event, because it ends the
session; its refusal is read off the event.
"""
