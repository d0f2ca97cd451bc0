"""The forms of texts and titles, as people count their characters."""

from __future__ import annotations

from typing import Final

import regex

TEXT_CHARACTERS_MAX: Final = 4_096
TEXT_BYTES_MAX: Final = 32 * 1024
TITLE_CHARACTERS_MAX: Final = 128
TITLE_BYTES_MAX: Final = 4 * 1024

_CHARACTER = regex.compile(r"\X")
_FLAG = regex.compile("[\U0001f1e6-\U0001f1ff]{2}")
_NOTHING_TO_SEE = regex.compile(r"[\s\p{Cf}]*+")
_CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160))))
"""All of Unicode's: what moves a terminal's cursor may also be one character above 127."""
_CONTROLS_IN_TEXTS = _CONTROLS - frozenset("\n\t")


def characters(text: str) -> int:
    """How many characters people see: extended grapheme clusters. A family emoji is one; a half-space is none of its
    own."""
    # Two flag letters are one character, counted from where their run begins. Within a long run the library begins
    # anew at every place, which takes seconds; what it is given has no runs.
    return sum(1 for _ in _CHARACTER.finditer(_FLAG.sub("x", text)))


def text_problem(text: str) -> str | None:
    """The reason why a text cannot be sent: TEXT_EMPTY, TEXT_TOO_LONG, TEXT_INVALID, in this order; None when it can.

    Texts are taken as they are: nothing is normalised or trimmed.
    """
    if _nothing_to_see(text):
        return "REASON_TEXT_EMPTY"
    if _too_long(text, TEXT_CHARACTERS_MAX, TEXT_BYTES_MAX):
        return "REASON_TEXT_TOO_LONG"
    if not _CONTROLS_IN_TEXTS.isdisjoint(text):
        return "REASON_TEXT_INVALID"
    return None


def is_title(title: str) -> bool:
    """Whether a group may be called so: something to see, on one line, not too long."""
    return not (
        _nothing_to_see(title)
        or _too_long(title, TITLE_CHARACTERS_MAX, TITLE_BYTES_MAX)
        or not _CONTROLS.isdisjoint(title)
    )


def _nothing_to_see(text: str) -> bool:
    return _NOTHING_TO_SEE.fullmatch(text) is not None


def _too_long(text: str, characters_max: int, bytes_max: int) -> bool:
    # Bytes first: they bound the work of counting clusters.
    return len(text.encode()) > bytes_max or (len(text) > characters_max and characters(text) > characters_max)
