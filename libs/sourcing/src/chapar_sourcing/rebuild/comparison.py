"""Looks for differences between the live edition of a partition and the one built beside it, while the first moves on.

Documents: the built edition stands still at its checkpoint, the live one has at least that much. A document that both
have from at or below that checkpoint must be the same, to the byte. One that the live edition has from above it has
changed since: it is looked at again once the built edition has followed, at last while nothing moves. Rows: both
editions get the same merges; a row that differs is looked at again, at last while nothing is merged and the reactors
have done what was replayed: a replay may be ahead of them. So every document
and every row of both editions is compared, and only those that changed meanwhile more than once.

This is stricter than comparing two digests: it says which keys differ, and needs no moment at which all stands still.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from chapar_sourcing.digest import canonical
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.ports import Row, Store
from chapar_sourcing.reactions import RowFeed
from chapar_sourcing.rebuild.pace import Pace

PURGED_MEANWHILE_MS = 24 * 3600 * 1000
"""Answers are compared where they are younger than they need be by this: the live edition is purged as time passes."""
PAGE_DOCUMENTS = 500
PAGE_KEYS = 200
SHOWN_MAX = 100
MOVED_MAX = 100_000
"""Documents or rows that may change while all are compared; beyond it the partition is too busy."""

Page: TypeAlias = Sequence[tuple[Key, Stored]]


@dataclass(slots=True)
class Differences:
    """What differs: how much, and the first of it in words."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Notes one more."""
        self.count += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(what)


class TooBusy(Exception):
    """More changed during the comparison than can be looked at again: try again when there is less traffic."""


class Comparison:
    """One comparison of two editions of a partition."""

    def __init__(
        self, *, partition: int, live: Store, built: Store, feed: RowFeed | None, pace: Pace,
        answers_since_ms: int | None,
    ) -> None:  # fmt: skip
        self._partition = partition
        self._live = live
        self._built = built
        self._feed = feed
        self._pace = pace
        self._answers_since_ms = 0 if answers_since_ms is None else answers_since_ms + PURGED_MEANWHILE_MS
        self.differences = Differences()
        self.documents = 0
        """Documents and tombstones looked at."""
        self.row_keys = 0
        """Keys of rows looked at."""
        self._at_least = -1
        """Offset of the checkpoint that both editions have at least."""
        self._moved: set[Key] = set()
        self._moved_rows: set[str] = set()

    @property
    def moved(self) -> int:
        """What has to be looked at again."""
        return len(self._moved) + len(self._moved_rows)

    async def compare(self, built_offset: int) -> None:
        """Goes through all documents and rows once. `built_offset`: checkpoint of the built edition, which stands still
        meanwhile and is not above that of the live one. Raises `TooBusy`, `Unavailable`."""
        self._at_least = built_offset
        async for key, live, built in self._pairs():
            self.documents += 1
            if same(key, live, built, self._answers_since_ms):
                continue
            if live is not None and live.position.offset > built_offset:
                self._moved.add(key)
            else:
                self.differences.add(f"document {_shown(key)}")
            self._check_bound()
        if self._feed is not None:
            await self._compare_rows(self._feed)
        elif await self._live.row_keys(self._partition, limit=1):
            self.differences.add("rows that no feed of rows makes again")

    async def compare_again(self, resting_at: int | None = None, *, rows_rest: bool = False) -> None:
        """Looks again at what had changed.

        `resting_at`: both editions are at this checkpoint and nothing moves, so that what differs now is a difference.
        Otherwise, and where a crash left the live document ahead of its checkpoint, it stays to be looked at.
        `rows_rest`: the same for rows: no merges, and the live edition has all that was replayed into the other one.
        """
        keys, self._moved = sorted(self._moved), set()
        for first in range(0, len(keys), PAGE_DOCUMENTS):
            page = keys[first : first + PAGE_DOCUMENTS]
            live, built = await self._pace.patiently(partial(self._load, page))
            for key in page:
                if not same(key, live.get(key), built.get(key), self._answers_since_ms):
                    self._judge(key, live.get(key), resting_at)
        rows, self._moved_rows = sorted(self._moved_rows), set()
        for row_key in rows:
            if self._feed is not None and not await self._same_rows(row_key, self._feed):
                if rows_rest:
                    self.differences.add(f"rows of {row_key}")
                else:
                    self._moved_rows.add(row_key)

    async def _load(self, keys: Sequence[Key]) -> tuple[Mapping[Key, Stored], Mapping[Key, Stored]]:
        live = await self._live.load(self._partition, keys, at_least=self._at_least)
        return live, await self._built.load(self._partition, keys, at_least=self._at_least)

    def _judge(self, key: Key, live: Stored | None, resting_at: int | None) -> None:
        if resting_at is None or (live is not None and live.position.offset > resting_at):
            self._moved.add(key)
        else:
            self.differences.add(f"document {_shown(key)}")

    # ---- documents

    async def _pairs(self) -> AsyncIterator[tuple[Key, Stored | None, Stored | None]]:
        """Every key of either edition with what both hold, in order."""
        live, built = (
            _Pages(edition, self._partition, self._at_least, self._pace) for edition in (self._live, self._built)
        )
        while True:
            of_live, of_built = await live.first(), await built.first()
            heads = [head[0] for head in (of_live, of_built) if head is not None]
            if not heads:
                return
            key = min(heads)
            yield key, live.take(key), built.take(key)
            await self._pace.breathe()

    # ---- rows

    async def _compare_rows(self, feed: RowFeed) -> None:
        for edition in (self._live, self._built):
            after = ""
            while keys := await self._pace.patiently(partial(self._row_keys, edition, after)):
                for key in keys:
                    self.row_keys += edition is self._live
                    if not await self._same_rows(key, feed):
                        self._moved_rows.add(key)
                        self._check_bound()
                    await self._pace.breathe()
                after = keys[-1]

    async def _row_keys(self, edition: Store, after: str) -> Sequence[str]:
        return await edition.row_keys(self._partition, after=after, limit=PAGE_KEYS)

    async def _same_rows(self, key: str, feed: RowFeed) -> bool:
        return await self._pace.patiently(partial(self._compared_rows, key, feed))

    async def _compared_rows(self, key: str, feed: RowFeed) -> bool:
        live = await self._live.rows(self._partition, key)
        built = await self._built.rows(self._partition, key)
        return settled_rows(live, feed) == settled_rows(built, feed)

    def _check_bound(self) -> None:
        if self.moved > MOVED_MAX:
            raise TooBusy(f"more than {MOVED_MAX} documents changed while all were compared")


class _Pages:
    """All documents of an edition in order, a page at a time."""

    def __init__(self, store: Store, partition: int, at_least: int, pace: Pace) -> None:
        self._store = store
        self._partition = partition
        self._at_least = at_least
        self._pace = pace
        self._page: Page = ()
        self._next = 0
        self._after: Key | None = None
        self._ended = False

    async def first(self) -> tuple[Key, Stored] | None:
        """The next one, which stays; None at the end."""
        if self._next == len(self._page) and not self._ended:
            self._page = await self._pace.patiently(self._read)
            self._next = 0
            self._ended = not self._page
            self._after = self._page[-1][0] if self._page else None
        return self._page[self._next] if self._next < len(self._page) else None

    async def _read(self) -> Page:
        return await self._store.documents(
            self._partition, at_least=self._at_least, after=self._after, limit=PAGE_DOCUMENTS
        )

    def take(self, key: Key) -> Stored | None:
        """Takes the next one if it has this key."""
        if self._next < len(self._page) and self._page[self._next][0] == key:
            self._next += 1
            return self._page[self._next - 1][1]
        return None


def same(key: Key, live: Stored | None, built: Stored | None, answers_since_ms: int) -> bool:
    """Whether two editions hold the same of a key; a tombstone is as good as nothing, and so is an answer of a block
    before `answers_since_ms`."""
    of_live, of_built = (
        None if stored is None else (canonical(key, stored.data, answers_since_ms), stored.position)
        for stored in (live, built)
    )
    dead = [held is None or held[0] is None for held in (of_live, of_built)]
    return all(dead) or (not any(dead) and of_live == of_built)


def settled_rows(rows: Sequence[Row], feed: RowFeed) -> Mapping[str, Mapping[str, bytes]]:
    """What the rows of a key mean today, without those that mean nothing."""
    settled = ((row.row, feed.settled(row.key, row.row, row.fields)) for row in rows)
    return {name: fields for name, fields in settled if fields}


def _shown(key: Key) -> str:
    return f"{key.kind} {key.parent}/{key.id}" if key.id else f"{key.kind} {key.parent}"
