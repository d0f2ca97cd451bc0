from __future__ import annotations

import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from chapar_messaging.forms import characters, is_title, text_problem

ZWNJ = "\u200c"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("سلام", 4),
        (f"می{ZWNJ}خواهم", 7),
        ("مُدَرِّس", 4),
        (FAMILY, 1),
        (FAMILY * 3, 3),
        ("\U0001f1ee\U0001f1f7", 1),
        ("👍🏽", 1),
        ("e\u0301", 1),
        ("\u00e9", 1),
        ("۱۲۳", 3),
        ("a\nb", 3),
    ],
)
def test_characters_are_counted_as_people_see_them(text: str, count: int) -> None:
    assert characters(text) == count


KINDS_OF_CHARACTERS = (
    "\U0001f1ee\U0001f1f7a\u0301\u200d\U0001f468\U0001f3fb\u0915\u094d\u0903\u0600\u1100\u1161\uac00\r\n\ufe0f"
)


@given(st.text(KINDS_OF_CHARACTERS, max_size=30))
def test_counting_agrees_with_the_rules_of_unicode(text: str) -> None:
    assert characters(text) == len(regex.findall(r"\X", text))


def test_half_flags_in_a_row_take_no_longer_to_count_than_letters() -> None:
    """A library that looks at each from the first one takes a hundred times as long, and everybody waits for it."""
    started = time.process_time()
    for _ in range(20):
        assert text_problem("\U0001f1ee" * 8_192) is None
    assert time.process_time() - started < 0.75


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "REASON_TEXT_EMPTY"),
        (" \n\t", "REASON_TEXT_EMPTY"),
        (f"{ZWNJ}\u200f \u2069", "REASON_TEXT_EMPTY"),
        ("x" * 4_096, None),
        ("x" * 4_097, "REASON_TEXT_TOO_LONG"),
        ("آ" * 4_096, None),
        ("e\u0301" * 4_096, None),
        ("e\u0301" * 4_097, "REASON_TEXT_TOO_LONG"),
        (f"می{ZWNJ}" * 2_048, None),
        (f"می{ZWNJ}" * 2_048 + "م", "REASON_TEXT_TOO_LONG"),
        (FAMILY * 1_310, None),
        (FAMILY * 1_311, "REASON_TEXT_TOO_LONG"),
        ("a" + "\u0301" * 16_383, None),
        ("a" + "\u0301" * 16_384, "REASON_TEXT_TOO_LONG"),
        ("a\x00b", "REASON_TEXT_INVALID"),
        ("a\x1bb", "REASON_TEXT_INVALID"),
        ("a\r\nb", "REASON_TEXT_INVALID"),
        ("a\x7fb", "REASON_TEXT_INVALID"),
        ("a\x9b2Jb", "REASON_TEXT_INVALID"),
        ("x" * 4_097 + "\x00", "REASON_TEXT_TOO_LONG"),
        ("خط یک\nخط\tدو", None),
        (f"نمی{ZWNJ}دانم {FAMILY} \u200fRTL", None),
    ],
)
def test_a_text_is_judged(text: str, problem: str | None) -> None:
    assert text_problem(text) == problem


@pytest.mark.parametrize(
    ("title", "good"),
    [
        (f"خانواده{ZWNJ}ی ما {FAMILY}", True),
        ("t" * 128, True),
        ("t" * 129, False),
        (FAMILY * 128, True),
        ("a" + "\u0301" * 2_048, False),
        ("", False),
        (ZWNJ, False),
        ("a\nb", False),
        ("a\x9b2Jb", False),
    ],
)
def test_a_title_is_judged(title: str, good: bool) -> None:
    assert is_title(title) is good
