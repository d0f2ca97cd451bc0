"""All ports on SQLite files (being written: the signatures below hold)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryKeyStore, MemoryMembers, MemoryStore, MemoryStream


class SqliteJournal(MemoryJournal):
    """The Journal port on one file that one process holds."""

    @classmethod
    async def open(cls, path: Path, *, partitions: int = 16, journal_id: str | None = None) -> Self:
        """Opens or creates. Raises `FileRefused` (locked, other format, other partitions, other journal id)."""
        raise NotImplementedError


class SqliteStream(MemoryStream):
    """The Stream port: `folder`/<producing service>.db. `topics` are those published here by `service`: name ->
    retention in ms, None for ever. `producers`: topics whose name does not begin with their producer's."""

    @classmethod
    async def open(
        cls, folder: Path, *, service: str | None = None, topics: Mapping[str, int | None] | None = None,
        partitions: int = 16, producers: Mapping[str, str] | None = None,
    ) -> Self:  # fmt: skip
        """Opens for reading, and for publishing when `service` is given."""
        raise NotImplementedError


class SqliteStore(MemoryStore):
    """The Store port on one file that one process holds."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens or creates."""
        raise NotImplementedError


class SqliteKeyStore(MemoryKeyStore):
    """The KeyStore port on one file that one process holds."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens or creates."""
        raise NotImplementedError


class SqliteMembers(MemoryMembers):
    """The Members port on a folder: one file a service, written by its one member."""

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Opens; nothing is created before `join`."""
        raise NotImplementedError
