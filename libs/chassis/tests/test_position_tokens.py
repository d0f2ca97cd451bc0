from hypothesis import given
from hypothesis import strategies as st

from chapar_chassis.position_tokens import PositionTokens

KEY = bytes(range(32))
TOKENS = PositionTokens(KEY, "messaging", generation=1)


@given(st.integers(0, 16_383), st.integers(-1, 2**62))
def test_a_token_says_where_a_partition_was(partition: int, offset: int) -> None:
    assert TOKENS.least_offset([TOKENS.make(partition, offset)], partition) == offset


def test_the_highest_token_of_the_partition_counts() -> None:
    tokens = [TOKENS.make(3, 5), TOKENS.make(3, 9), TOKENS.make(4, 100), TOKENS.make(3, 7)]
    assert TOKENS.least_offset(tokens, 3) == 9


def test_tokens_of_others_say_nothing() -> None:
    others: list[str | bytes] = [
        PositionTokens(bytes(32), "messaging", 1).make(3, 9),
        PositionTokens(KEY, "payments", 1).make(3, 9),
        PositionTokens(KEY, "messaging", 2).make(3, 9),
        TOKENS.make(3, 9)[:-1],
        TOKENS.make(3, 9).hex(),
        b"",
    ]
    assert TOKENS.least_offset(others, 3) == -1


@given(st.integers(0, 31), st.integers(1, 255))
def test_a_changed_token_says_nothing(at: int, change: int) -> None:
    token = bytearray(TOKENS.make(3, 9))
    token[at] ^= change
    assert TOKENS.least_offset([bytes(token)], 3) == -1
