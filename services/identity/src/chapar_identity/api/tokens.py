"""Refresh tokens, and the pair that a session calls with.

A refresh token is "sXXXX.<user id>.<session id>.<generation>.<mac>": made from the session's state alone, so that a
repeated request gets the same one, and checked without a look-up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import NamedTuple

from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.tokens import ACCESS_TOKEN_LIFE_MS, AccessTokenSigner
from chapar_sourcing.partitions import slot_of, slot_prefix

_REFRESH_TOKEN = re.compile(r"s[0-9a-f]{4}\.([a-z2-7]{26})\.([0-9a-f]{32})\.([1-9][0-9]{0,14})\.[A-Za-z0-9_-]{43}")


class RefreshToken(NamedTuple):
    """What an authentic refresh token says."""

    user_id: str
    session_id: str
    generation: int


class TokenMint:
    """Makes pairs of tokens and checks refresh tokens."""

    def __init__(self, *, signer: AccessTokenSigner, refresh_key: bytes) -> None:
        self._signer = signer
        self._refresh_key = refresh_key

    def pair(self, token: RefreshToken, *, issued_ms: int) -> api.Tokens:
        """The tokens of a session's generation; the same arguments give the same pair."""
        return api.Tokens(
            access_token=self._signer.sign(token.user_id, token.session_id, issued_ms=issued_ms),
            access_expire_time_ms=issued_ms + ACCESS_TOKEN_LIFE_MS,
            refresh_token=self.refresh_token(token),
        )

    def refresh_token(self, token: RefreshToken) -> str:
        """A refresh token as text."""
        said = f"{slot_prefix(slot_of(token.user_id))}{token.user_id}.{token.session_id}.{token.generation}"
        mac = hmac.new(self._refresh_key, said.encode(), hashlib.sha256).digest()
        return f"{said}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def read(self, text: str) -> RefreshToken | None:
        """What a refresh token says, or None when it is not one of ours."""
        found = _REFRESH_TOKEN.fullmatch(text)
        if found is None:
            return None
        token = RefreshToken(found[1], found[2], int(found[3]))
        return token if hmac.compare_digest(self.refresh_token(token), text) else None
