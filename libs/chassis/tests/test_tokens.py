import base64
import json

import pytest

from chapar_chassis.tokens import (
    ACCESS_TOKEN_LIFE_MS,
    AccessToken,
    AccessTokenSigner,
    AccessTokenVerifier,
    TokenProblem,
    bearer_token,
)

NOW_MS = 1_800_000_000_000
OLD, NEW = AccessTokenSigner(bytes(32)), AccessTokenSigner(bytes(range(32)))


def verifier(*signers: AccessTokenSigner, cached_tokens_max: int = 10) -> AccessTokenVerifier:
    keys = {signer.key_id: signer.public_key for signer in signers}
    return AccessTokenVerifier(keys, cached_tokens_max=cached_tokens_max)


def forged(payload: object) -> str:
    """A payload of our choice under a signature of another."""
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"v1.{body}.{OLD.sign('u', 's', issued_ms=NOW_MS).split('.')[2]}"


def test_a_token_says_whose_it_is_for_fifteen_minutes() -> None:
    token = OLD.sign("user", "session", issued_ms=NOW_MS)
    expected = AccessToken("user", "session", NOW_MS, NOW_MS + 15 * 60 * 1000)
    checks = verifier(OLD)
    assert checks.verify(token, NOW_MS) == expected
    assert checks.verify(token, NOW_MS + ACCESS_TOKEN_LIFE_MS - 1) == expected
    assert checks.verify(token, NOW_MS + ACCESS_TOKEN_LIFE_MS) is TokenProblem.EXPIRED


def test_a_token_that_was_cached_expires_all_the_same() -> None:
    checks, token = verifier(OLD), OLD.sign("user", "session", issued_ms=NOW_MS)
    assert isinstance(checks.verify(token, NOW_MS), AccessToken)
    for _ in range(2):
        assert checks.verify(token, NOW_MS + ACCESS_TOKEN_LIFE_MS) is TokenProblem.EXPIRED


def test_two_keys_live_side_by_side_and_a_third_is_refused() -> None:
    both = verifier(OLD, NEW)
    for signer in (OLD, NEW):
        assert isinstance(both.verify(signer.sign("u", "s", issued_ms=NOW_MS), NOW_MS), AccessToken)
    with pytest.raises(ValueError, match="1 to 2 keys"):
        verifier(OLD, NEW, AccessTokenSigner(bytes([7] * 32)))


def test_a_token_of_a_retired_key_is_invalid() -> None:
    assert verifier(NEW).verify(OLD.sign("u", "s", issued_ms=NOW_MS), NOW_MS) is TokenProblem.INVALID


def test_no_token_is_missing() -> None:
    assert verifier(OLD).verify("", NOW_MS) is TokenProblem.MISSING


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "v1..",
        "v1.e30.",
        "v2." + OLD.sign("u", "s", issued_ms=NOW_MS)[3:],
        OLD.sign("u", "s", issued_ms=NOW_MS) + "=",
        OLD.sign("u", "s", issued_ms=NOW_MS) + ".x",
        OLD.sign("u", "s", issued_ms=NOW_MS)[:-2],
        OLD.sign("u", "s", issued_ms=NOW_MS).replace("v1", "v۱"),
        "v1." + "a" * 2_000 + ".a",
        forged({"kid": OLD.key_id, "uid": "root", "sid": "s", "iat": NOW_MS, "exp": NOW_MS + 1_000_000}),
        forged({"kid": ["a"], "uid": "root"}),
        forged(["kid"]),
        forged(7),
    ],
)
def test_whatever_identity_did_not_sign_is_invalid(token: str) -> None:
    assert verifier(OLD).verify(token, NOW_MS) is TokenProblem.INVALID


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_token_with_one_other_character_is_invalid(at: int) -> None:
    token = OLD.sign("user", "session", issued_ms=NOW_MS)
    at %= len(token)
    changed = token[:at] + ("B" if token[at] != "B" else "C") + token[at + 1 :]
    assert verifier(OLD).verify(changed, NOW_MS) is TokenProblem.INVALID


def test_the_cache_stays_within_its_bound_and_forgets_the_oldest() -> None:
    checks = verifier(OLD, cached_tokens_max=3)
    for number in range(10):
        assert isinstance(checks.verify(OLD.sign(f"u{number}", "s", issued_ms=NOW_MS), NOW_MS), AccessToken)
    assert [token.user_id for token in checks._good.values()] == ["u7", "u8", "u9"]


@pytest.mark.parametrize(
    ("value", "token"), [("Bearer abc", "abc"), ("bearer abc", "abc"), ("abc", ""), ("Basic abc", ""), ("", "")]
)
def test_bearer_token(value: str, token: str) -> None:
    assert bearer_token(value) == token
