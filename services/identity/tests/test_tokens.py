from __future__ import annotations

from collections.abc import Callable

import pytest

from chapar_chassis.tokens import AccessToken, AccessTokenSigner, AccessTokenVerifier
from chapar_identity.api.challenges import Challenges, code_of, phone_hash_of
from chapar_identity.api.tokens import RefreshToken, TokenMint
from chapar_sourcing.partitions import slot_of, slot_of_prefixed

SIGNER = AccessTokenSigner(bytes(range(32)))
MINT = TokenMint(signer=SIGNER, refresh_key=b"r" * 32)
TOKEN = RefreshToken("a" * 26, "0" * 32, 3)
CHALLENGES = Challenges(phone_key=b"p" * 32, codes_key=b"c" * 32)
PHONE = "+989121234567"


def test_the_same_session_state_gives_the_same_pair() -> None:
    assert MINT.pair(TOKEN, issued_ms=5) == MINT.pair(TOKEN, issued_ms=5)


def test_the_access_token_is_one_that_gateways_accept() -> None:
    pair = MINT.pair(TOKEN, issued_ms=5)
    verifier = AccessTokenVerifier({SIGNER.key_id: SIGNER.public_key})
    expected = AccessToken(TOKEN.user_id, TOKEN.session_id, 5, pair.access_expire_time_ms)
    assert verifier.verify(pair.access_token, 5) == expected
    assert pair.access_expire_time_ms == 5 + 900_000


def test_a_refresh_token_is_routed_by_its_users_slot_and_read_back() -> None:
    text = MINT.refresh_token(TOKEN)
    assert slot_of_prefixed(text) == slot_of(TOKEN.user_id)
    assert MINT.read(text) == TOKEN


def test_no_character_of_a_refresh_token_can_be_changed() -> None:
    text = MINT.refresh_token(TOKEN)
    for place, character in enumerate(text):
        other = "b" if character != "b" else "c"
        assert MINT.read(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    ["", "s0000.", MINT.refresh_token(TOKEN) + "=", MINT.refresh_token(TOKEN) + "\n", " " + MINT.refresh_token(TOKEN)],
)
def test_other_forms_of_a_refresh_token_are_refused(text: str) -> None:
    assert MINT.read(text) is None


def test_a_refresh_token_under_another_key_is_refused() -> None:
    other = TokenMint(signer=SIGNER, refresh_key=b"o" * 32)
    assert MINT.read(other.refresh_token(TOKEN)) is None


def test_a_challenge_names_the_slot_and_the_hash_of_its_phone_and_not_the_phone() -> None:
    challenge_id = CHALLENGES.challenge_id(PHONE, bytes(16))
    assert slot_of_prefixed(challenge_id) == slot_of(PHONE)
    assert phone_hash_of(challenge_id) == CHALLENGES.phone_hash(PHONE)
    assert PHONE[1:] not in challenge_id


@pytest.mark.parametrize("change", [lambda i: i[:-1], lambda i: i + "a", str.upper, lambda i: "sffff" + i[5:]])
def test_other_forms_of_a_challenge_are_none(change: Callable[[str], str]) -> None:
    challenge_id = CHALLENGES.challenge_id(PHONE, bytes(16))
    assert phone_hash_of(change(challenge_id)) is None


def test_the_hash_of_a_code_is_good_for_its_challenge_only() -> None:
    assert CHALLENGES.code_mac("one", "000000") == CHALLENGES.code_mac("one", "000000")
    assert CHALLENGES.code_mac("one", "000000") != CHALLENGES.code_mac("two", "000000")
    assert CHALLENGES.code_mac("one", "000000") != CHALLENGES.code_mac("one", "000001")


@pytest.mark.parametrize("randomness", [bytes(8), b"\xff" * 8, bytes(range(8))])
def test_a_code_has_six_digits(randomness: bytes) -> None:
    code = code_of(randomness)
    assert len(code) == 6
    assert code.isdigit()
