"""Sizes of pages."""

from __future__ import annotations

from chapar_sourcing.domain import Refused

PAGE_INVALID = Refused("REASON_PAGE_INVALID")


def page_size_of(asked: int, *, default: int, most: int) -> int | None:
    """How many to show; None when that many may not be asked for."""
    if not 0 <= asked <= most:
        return None
    return asked or default
