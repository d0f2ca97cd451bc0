"""The Members port on a folder: one file a service, written by the one member that holds its lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format, wall_clock_ms
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._reads import Reads
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.ports import Announcement, Beat, News, Placement, Unavailable

MEMBERS = Format(
    kind="members",
    version=1,
    tables=(
        "CREATE TABLE member (one INTEGER PRIMARY KEY CHECK (one = 1), address TEXT, beats INTEGER, beat_ms INTEGER)",
        "CREATE TABLE owners (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, address TEXT NOT NULL)",
    ),
    added_tables=(
        """CREATE TABLE IF NOT EXISTS placements (partition INTEGER PRIMARY KEY, address TEXT NOT NULL,
            reason TEXT NOT NULL, operator TEXT NOT NULL, time_ms INTEGER NOT NULL)""",
    ),
    added_columns=(("owners", "member BLOB"), ("owners", "released INTEGER"), ("owners", "successor TEXT")),
)
_ANNOUNCE = """INSERT INTO owners (partition, epoch, address, member, released, successor) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, address = excluded.address, member = excluded.member,
        released = excluded.released, successor = excluded.successor
    WHERE (epoch, released) < (excluded.epoch, excluded.released)"""
_PLACE = "INSERT OR REPLACE INTO placements (partition, address, reason, operator, time_ms) VALUES (?, ?, ?, ?, ?)"
_PLACED = "SELECT partition, address, reason, operator, time_ms FROM placements ORDER BY partition"
WAIT_MS = 60_000


class SqliteMembers:
    """The Members port. What a member of an earlier life announced ends with the next `join` of its service."""

    def __init__(self, folder: Path, *, now_ms: Callable[[], int], broken: Callable[[str], None]) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._broken = broken
        self._service = ""
        self._news: list[News] = []
        """What the one member said and has not read yet, and where it was told before to have partitions."""
        self._bell = Bell()
        self._database: Database | None = None
        self._reads: dict[str, Reads] = {}
        self._closed = False

    @classmethod
    async def open(
        cls, folder: Path, *, now_ms: Callable[[], int] = wall_clock_ms, broken: Callable[[str], None] = end_process
    ) -> Self:
        """Looks at a folder; nothing is created before `join`."""
        return cls(folder, now_ms=now_ms, broken=broken)

    async def join(self, service: str) -> None:
        """Becomes the one member of a service. Raises `RuntimeError` naming the process that is it already."""
        self._check_open()
        if self._database is not None:
            raise RuntimeError(f"this process is a member of {self._service} already")
        try:
            # A lost beat costs nothing, so that NORMAL is durable enough and spares three fsyncs a second.
            database = await Database.open(
                self._path(service), MEMBERS, synchronous="NORMAL", service=service, broken=self._broken
            )
        except FileRefused as error:
            raise RuntimeError(f"{service} has a member already, or its file is damaged: {error}") from error

        def job(connection: sqlite3.Connection) -> list[Placement]:
            connection.execute("DELETE FROM owners")
            connection.execute("INSERT OR REPLACE INTO member VALUES (1, '', 0, ?)", (self._now_ms(),))
            return [Placement(*row) for row in connection.execute(_PLACED)]

        self._news += await database.write(job)
        self._service, self._database = service, database

    async def beat(self, beat: Beat) -> None:
        """Writes that this member is alive."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE member SET address = ?, beats = beats + 1, beat_ms = ?", (beat.address, self._now_ms())
            )

        await self._joined().write(job)
        self._say(beat)

    async def announce(self, announcement: Announcement) -> None:
        """Writes what this member says of a partition, where nothing higher stands."""
        said = announcement
        row = (said.partition, said.epoch, said.address, said.member, said.released, said.successor)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(_ANNOUNCE, row)

        await self._joined().write(job)
        self._say(announcement)

    async def place(self, placement: Placement) -> None:
        """Writes where an operator wants a partition, over what was written before."""
        said = placement
        row = (said.partition, said.address, said.reason, said.operator, said.time_ms)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(_PLACE, row)

        await self._joined().write(job)
        self._say(placement)

    async def news(self) -> Sequence[News]:
        """What the one member said: there is nobody else."""
        while not self._news:
            self._joined()
            await self._bell.wait_until(lambda: self._closed or bool(self._news), WAIT_MS)
        self._joined()
        found, self._news = self._news, []
        return found

    def _say(self, said: News) -> None:
        self._news.append(said)
        self._bell.ring()

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """Who owns what, as the service's file says; nobody as long as there is none."""
        self._check_open()
        if not self._path(service).exists():
            return {}
        reads = self._reads.get(service)
        if reads is None:
            reads = self._reads[service] = Reads(self._path(service), threads=1)

        def query(connection: sqlite3.Connection) -> dict[int, Announcement]:
            # A file that its member has not opened since columns were added lacks them.
            return {row[0]: _announcement(*row) for row in connection.execute("SELECT * FROM owners")}

        return await reads.run(query)

    async def close(self) -> None:
        """Leaves."""
        self._closed = True
        self._bell.ring()
        for reads in self._reads.values():
            await reads.close()
        if self._database is not None:
            await self._database.close()
            self._database = None

    def _path(self, service: str) -> Path:
        return self._folder / f"{service}.db"

    def _joined(self) -> Database:
        self._check_open()
        if self._database is None:
            raise RuntimeError("not a member")
        return self._database

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("closed")


def _announcement(
    partition: int, epoch: int, address: str, member: bytes | None = None, released: int | None = None,
    successor: str | None = None,
) -> Announcement:  # fmt: skip
    return Announcement(partition, epoch, member or b"", address, bool(released), successor or "")
