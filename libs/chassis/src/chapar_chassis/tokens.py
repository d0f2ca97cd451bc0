"""Access tokens: made by identity alone, checked by gateways.

A token is "v1.<payload>.<signature>", both base64url without padding: the payload is JSON with the key id `kid`, the
user `uid`, the session `sid`, and the times `iat` and `exp` in milliseconds since 1970; the signature is Ed25519 over
everything before the second dot. A verifier knows at most two keys, so that one can follow the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ACCESS_TOKEN_LIFE_MS = 15 * 60 * 1000
TOKEN_CHARACTERS_MAX = 1_024
LIVE_KEYS_MAX = 2
_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says."""

    user_id: str
    session_id: str
    issued_ms: int
    expires_ms: int


class TokenProblem(Enum):
    """Why there is no `AccessToken`; the value is the gateway's reason."""

    MISSING = "REASON_TOKEN_MISSING"
    INVALID = "REASON_TOKEN_INVALID"
    EXPIRED = "REASON_TOKEN_EXPIRED"


def access_key_id(public_key: bytes) -> str:
    """The id of a signing key: the first 16 hexadecimal digits of the public key's SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


class AccessTokenSigner:
    """Makes tokens; lives in identity."""

    def __init__(self, private_key: bytes) -> None:
        """`private_key` is a raw Ed25519 private key, 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = access_key_id(self.public_key)

    def sign(self, user_id: str, session_id: str, *, issued_ms: int, life_ms: int = ACCESS_TOKEN_LIFE_MS) -> str:
        """A token for a session; the same arguments give the same token."""
        claims = {"kid": self.key_id, "uid": user_id, "sid": session_id, "exp": issued_ms + life_ms, "iat": issued_ms}
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=True).encode()
        signed = f"{_VERSION}.{_encode(payload)}"
        return f"{signed}.{_encode(self._key.sign(signed.encode()))}"


class AccessTokenVerifier:
    """Checks tokens; a token that was found good is not computed again until it expires."""

    def __init__(self, public_keys: Mapping[str, bytes], *, cached_tokens_max: int = 20_000) -> None:
        """`public_keys` are one or two raw Ed25519 public keys by key id."""
        if not 1 <= len(public_keys) <= LIVE_KEYS_MAX:
            raise ValueError(f"a verifier takes 1 to {LIVE_KEYS_MAX} keys, not {len(public_keys)}")
        self._keys = {key_id: Ed25519PublicKey.from_public_bytes(raw) for key_id, raw in public_keys.items()}
        self._cached_tokens_max = cached_tokens_max
        self._good: OrderedDict[bytes, AccessToken] = OrderedDict()

    def verify(self, token: str, now_ms: int) -> AccessToken | TokenProblem:
        """What the token says, or why it says nothing. `token` is without the word "Bearer"."""
        if not token:
            return TokenProblem.MISSING
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            return TokenProblem.INVALID
        # Cached by digest: the cache holds no tokens, and looking one up takes no time that depends on its characters.
        digest = hashlib.sha256(token.encode()).digest()
        found = self._good.get(digest) or self._checked(token)
        if found is None:
            return TokenProblem.INVALID
        if found.expires_ms <= now_ms:
            self._good.pop(digest, None)
            return TokenProblem.EXPIRED
        self._remember(digest, found)
        return found

    def _remember(self, digest: bytes, token: AccessToken) -> None:
        self._good[digest] = token
        self._good.move_to_end(digest)
        while len(self._good) > self._cached_tokens_max:
            self._good.popitem(last=False)

    def _checked(self, token: str) -> AccessToken | None:
        parts = token.split(".")
        if len(parts) != 3 or parts[0] != _VERSION:
            return None
        payload, signature = _decode(parts[1]), _decode(parts[2])
        if payload is None or signature is None:
            return None
        try:
            claims = json.loads(payload)
        except ValueError:
            return None
        key = self._keys.get(claims.get("kid", "")) if isinstance(claims, dict) and _is_text(claims, "kid") else None
        if key is None:
            return None
        try:
            key.verify(signature, f"{parts[0]}.{parts[1]}".encode())
        except InvalidSignature:
            return None
        return _access_token(claims)


def bearer_token(authorization: str) -> str:
    """The token in an `authorization` value, "" where there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _access_token(claims: dict[str, object]) -> AccessToken | None:
    user_id, session_id = claims.get("uid"), claims.get("sid")
    issued_ms, expires_ms = claims.get("iat"), claims.get("exp")
    if not isinstance(user_id, str) or not isinstance(session_id, str) or not user_id or not session_id:
        return None
    if type(issued_ms) is not int or type(expires_ms) is not int:
        return None
    return AccessToken(user_id, session_id, issued_ms, expires_ms)


def _is_text(claims: dict[str, object], name: str) -> bool:
    return isinstance(claims.get(name), str)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    """Strict: only the one canonical text of some bytes."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return data if _encode(data) == text else None
