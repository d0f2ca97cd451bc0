"""Other people's text on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar_client.terminal import FSI, PDI, cleaned, column, isolated, isolated_lines, width

HOSTILE = [
    "\x1b[2J\x1b[1;1Hcleared",
    "\x1b]0;title\x07",
    "\x9b31mred",
    "\u202eevil\u202c",
    "\u2066\u2069\u2069\u2069escaped",
    "a\rb",
    "a\u2028b",
    "\u200f\u061c",
    "a\x00b",
    "\U000e0041tag",
]
STEERING = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_steers_a_terminal_or_a_direction_is_left(text: str) -> None:
    left = [character for character in cleaned(text) if unicodedata.category(character) in STEERING]
    assert left == []


@given(st.text())
def test_any_text_is_harmless_and_one_isolated_line(text: str) -> None:
    shown = isolated(text)
    inner = shown.removeprefix(FSI).removesuffix(PDI)
    assert (shown[0], shown[-1]) == (FSI, PDI)
    assert not {FSI, PDI, "\n", "\x1b"} & set(inner)


def test_what_persian_and_emoji_need_is_kept() -> None:
    assert cleaned("می\u200cخواهم 👨\u200d👩\u200d👧") == "می\u200cخواهم 👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    "name", ["Sara", "سارا", "امیرحسین نجفی اصفهانی", "👨‍👩‍👧‍👦 خانواده", "漢字の名前", "", "e\u0301" * 30]
)
def test_columns_are_exactly_as_wide_as_they_say(name: str) -> None:
    assert width(column(name, 12)) == 12


def test_each_line_of_a_text_is_isolated_and_indented() -> None:
    assert isolated_lines("یک\nدو", "  ") == f"{FSI}یک{PDI}\n  {FSI}دو{PDI}"
