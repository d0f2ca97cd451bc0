import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar_chassis.user_ids import ALPHABET, CHARACTERS, UserIds

IDS = UserIds(bytes(range(32)))


@given(st.binary(min_size=10, max_size=10))
def test_a_minted_id_is_genuine_here_and_nowhere_else(randomness: bytes) -> None:
    user_id = IDS.mint(randomness)
    assert len(user_id) == CHARACTERS
    assert set(user_id) <= ALPHABET
    assert IDS.is_genuine(user_id)
    assert not UserIds(bytes(32)).is_genuine(user_id)


@given(st.binary(min_size=10, max_size=10), st.integers(0, CHARACTERS - 1), st.sampled_from(sorted(ALPHABET)))
def test_an_id_with_one_other_character_is_invented(randomness: bytes, at: int, character: str) -> None:
    user_id = IDS.mint(randomness)
    changed = user_id[:at] + character + user_id[at + 1 :]
    assert IDS.is_genuine(changed) == (changed == user_id)


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda i: i + "a", lambda i: i[:-1], lambda _: "", lambda i: i + "======", lambda i: "ı" + i[1:]],
)
def test_only_the_canonical_form_is_genuine(change: object) -> None:
    assert callable(change)
    assert not IDS.is_genuine(change(IDS.mint(b"0123456789")))


def test_spare_bits_of_the_last_character_must_be_zero() -> None:
    user_id = IDS.mint(b"0123456789")
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    twin = user_id[:-1] + alphabet[alphabet.index(user_id[-1]) + 1]
    assert base64.b32decode(twin.upper() + "======") == base64.b32decode(user_id.upper() + "======")
    assert not IDS.is_genuine(twin)


def test_minting_needs_enough_randomness_and_a_whole_key() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        IDS.mint(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        UserIds(b"short")
