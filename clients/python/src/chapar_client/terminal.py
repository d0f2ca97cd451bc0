"""Other people's text on a terminal: harmless, isolated, and as wide as it looks.

Whatever comes from others may hold escape sequences, line breaks or direction overrides. Here they are taken out, and
what is left is wrapped in first-strong isolates (U+2068 ... U+2069), so that a right-to-left name does not drag the
punctuation and the columns around it along.
"""

from __future__ import annotations

import unicodedata

import wcwidth

FSI, PDI = "\u2068", "\u2069"
_JOINERS = "\u200c\u200d"
"""Persian and emoji need these two."""

_DROPPED = {"Cc", "Cs", "Cf", "Zl", "Zp", "Co"}


def cleaned(text: str, *, multiline: bool = False) -> str:
    """The text without anything that steers a terminal or the direction of what follows."""
    kept = []
    for character in text.replace("\r\n", "\n"):
        if character == "\n":
            kept.append("\n" if multiline else " ")
        elif character == "\t":
            kept.append(" ")
        elif character in _JOINERS or unicodedata.category(character) not in _DROPPED:
            kept.append(character)
    return "".join(kept)


def isolated(text: str) -> str:
    """One line of somebody's text, ready to stand among ours."""
    return f"{FSI}{cleaned(text)}{PDI}"


def isolated_lines(text: str, indent: str) -> str:
    """A text of several lines, each isolated; lines after the first begin with the indent."""
    lines = cleaned(text, multiline=True).split("\n")
    return f"\n{indent}".join(f"{FSI}{line}{PDI}" for line in lines)


def width(text: str) -> int:
    """Columns that a text takes."""
    return int(wcwidth.wcswidth(text.replace(FSI, "").replace(PDI, "")))


def column(text: str, columns: int) -> str:
    """Somebody's text, isolated, cut or padded to exactly so many columns."""
    plain = cleaned(text)
    if width(plain) > columns:
        plain = _cut(plain, columns - 1) + "…"
    return f"{FSI}{plain}{PDI}" + " " * (columns - width(plain))


def _cut(text: str, columns: int) -> str:
    taken, used = [], 0
    for cluster in wcwidth.iter_graphemes(text):
        used += max(width(cluster), 0)
        if used > columns:
            break
        taken.append(cluster)
    return "".join(taken)
