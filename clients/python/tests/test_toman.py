"""Money as people write and read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar_client.sdk import InvalidInput
from chapar_client.toman import parsed_toman, shown_toman


@pytest.mark.parametrize(
    ("written", "rials"),
    [
        ("1", 10),
        ("12500", 125_000),
        ("12,500", 125_000),
        ("۱۲٬۵۰۰", 125_000),
        ("۱۲۵۰۰ تومان", 125_000),
        ("12500 toman", 125_000),
        ("٠", 0),
        ("0.1", 1),
        ("۱۲٫۵", 125),
        ("1,234,567.8", 12_345_678),
    ],
)
def test_amounts_are_taken_as_people_write_them(written: str, rials: int) -> None:
    assert parsed_toman(written) == rials


@pytest.mark.parametrize(
    "written",
    ["", "-5", "1e3", "12,50", "1.25", "rial 5", "5 rial", "99999999999999999999999", "½", "²", "1 000", "۱۲a", "٫۵"],
)
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput):
        parsed_toman(written)


@pytest.mark.parametrize(
    ("rials", "shown"), [(0, "0 toman"), (125_000, "12,500 toman"), (1, "0.1 toman"), (-125, "-12.5 toman")]
)
def test_amounts_are_shown_with_their_label(rials: int, shown: str) -> None:
    assert shown_toman(rials) == shown


@given(st.integers(min_value=0, max_value=10**15))
def test_what_is_shown_can_be_entered(rials: int) -> None:
    assert parsed_toman(shown_toman(rials)) == rials
