"""Reads runbooks: pages of prose, with commands in plain blocks and queries in blocks of `promql`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

BOOKS = Path(__file__).resolve().parent.parent.parent / "docs" / "runbooks"
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def books() -> Sequence[Path]:
    """All pages, each called after its alert."""
    return sorted(BOOKS.glob("*.md"))


def commands(text: str) -> Iterator[str]:
    """Command lines, in order."""
    for block in _blocks(text, ""):
        yield from (line.strip() for line in block.splitlines() if line.strip())


def queries(text: str) -> Iterator[str]:
    """Queries, in order."""
    yield from (block.strip() for block in _blocks(text, "promql"))


def prose(text: str) -> str:
    """All but the blocks, on one line."""
    return re.sub(r"\s+", " ", _BLOCK.sub("", text))


def _blocks(text: str, language: str) -> Iterator[str]:
    yield from (block for found, block in _BLOCK.findall(text) if found == language)
