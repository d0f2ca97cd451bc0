"""Data keys: the one state that logs do not rebuild. Insert-only; a deletion is for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A data key, wrapped by the master key: useless without it."""

    key_id: str
    """Random."""
    subject: str
    """Whose content it seals: a user, or a conversation for its title."""
    period: int
    """From when it is the subject's current key, milliseconds since 1970; until one of a later period is made."""
    wrapped: bytes


class KeyStore(Protocol):
    """All calls raise `Unavailable`."""

    async def insert(self, row: KeyRow) -> KeyRow:
        """Stores a key durably, unless its subject has one of this period or a later one; returns the subject's
        newest. Raises `ValueError` for a key id that is taken."""

    async def current(self, subject: str, period: int) -> KeyRow | None:
        """The subject's newest key, if it is of this period or a later one."""

    async def get(self, key_id: str) -> KeyRow | None:
        """A key by its id; None when it was destroyed or never was."""

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys the subject's keys of earlier periods for ever; says how many. Their bytes are nowhere when it
        returns; after `Unavailable` they may be: destroy again."""

    async def close(self) -> None:
        """Ends all connections and threads."""
