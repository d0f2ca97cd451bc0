"""Whether a session may call: its token, its revocation, and how fresh the knowledge of revocations is."""

from __future__ import annotations

from chapar.options.v1 import options_pb2 as options
from chapar_chassis.refusals import CallRefused
from chapar_chassis.routing import MethodRoute
from chapar_chassis.tokens import AccessToken, AccessTokenVerifier, TokenProblem
from chapar_gateway.revocations import STALE_MS_MAX, STRICT_STALE_MS, Revocations
from chapar_sourcing.clock import Clock


class Sessions:
    """Checks sessions, once at the start of a call and again and again while a stream is open."""

    def __init__(self, verifier: AccessTokenVerifier, revocations: Revocations, clock: Clock) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._clock = clock

    def authenticate(self, token: str, route: MethodRoute) -> AccessToken:
        """The session behind a bearer token that may call the method. Raises `CallRefused`.

        Reasons in order: of the token, revoked, stale.
        """
        verified = self._verifier.verify(token, self._clock.now_ms())
        if isinstance(verified, TokenProblem):
            raise CallRefused(verified.value)
        if self._revocations.is_revoked(verified.session_id):
            raise CallRefused("REASON_SESSION_REVOKED")
        bound_ms = STRICT_STALE_MS if is_strict(route) else STALE_MS_MAX
        if self._revocations.age_ms(verified.user_id) > bound_ms:
            raise CallRefused("REASON_REVOCATIONS_STALE")
        return verified

    def problem_of(self, token: AccessToken) -> str | None:
        """Why a stream of this session must end now; None while it may go on."""
        if self._revocations.is_revoked(token.session_id):
            return "REASON_SESSION_REVOKED"
        if token.expires_ms <= self._clock.now_ms():
            return "REASON_TOKEN_EXPIRED"
        if self._revocations.age_ms(token.user_id) > STALE_MS_MAX:
            return "REASON_REVOCATIONS_STALE"
        return None


def is_strict(route: MethodRoute) -> bool:
    """Whether a revoked session must not make this call even for a moment: money and changes of identity."""
    return route.option.rate_class == options.RATE_CLASS_MONEY or (route.service == "identity" and route.mutating)
