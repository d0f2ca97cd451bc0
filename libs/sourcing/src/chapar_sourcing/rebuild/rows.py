"""Builds the rows of editions anew: asks the feed of rows about a source partition's whole log again.

The source may be owned by any process: its log and what its store holds tell all that the feed has to know.

From the moment when an edition is being built, every advance is merged into it, too. So what it lacks are advances
that were acknowledged before: all of them come from events up to the end of each source's log at that moment. Merging
by maximum makes it harmless that some come twice and that the order is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from chapar_sourcing.clock import Clock
from chapar_sourcing.domain import Domain
from chapar_sourcing.editions import edition_cursor
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Cursor, Journal, Row, Store
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.reactions import Advance, Reaction, RowFeed
from chapar_sourcing.rebuild.pace import Pace
from chapar_sourcing.rebuild.stored_view import StoredView
from chapar_sourcing.sources import Arrival, JournalSource
from chapar_sourcing.tail import BlockReader, Tail

ROWS_MAX = 1_000
"""Rows gathered before they are merged; one event may pass it."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A partition whose events advance rows."""

    partition: int
    end: int
    """Offset up to which its events have to be asked about."""


class RowsBuilder:
    """Replays one source into the editions of several targets."""

    def __init__(
        self, *, feed: RowFeed, domain: Domain[Any, Any], source: RowSource, editions: Mapping[int, int],
        journal: Journal, store: Store, clock: Clock, pace: Pace,
        on_progress: Callable[[int], None] = lambda offset: None,
    ) -> None:  # fmt: skip
        self._feed = feed
        self._domain = domain
        self._source = source
        self._editions = editions
        """The edition that is being built, by target partition."""
        self._journal = journal
        self._store = store
        self._clock = clock
        self._pace = pace
        self._on_progress = on_progress
        self._rows: dict[int, list[Row]] = {target: [] for target in editions}
        self._gathered = 0
        self._had = dict.fromkeys(editions, NOWHERE)
        """Up to where each target's edition has the rows of this source."""
        self._done: Cursor | None = None

    async def build(self) -> None:
        """Asks the feed about every event that not all targets have yet, and merges what it answers. Waits for the
        source's store to have come to each of them.

        Raises `LogDamaged` and `Unavailable`.
        """
        source = self._open(await self._pace.patiently(self._cursor))
        while arrivals := await self._pace.patiently(lambda: source.until(self._source.end)):
            for arrival in arrivals:
                await self._take(arrival)
                if self._gathered >= ROWS_MAX:
                    await self._pace.patiently(self._write)
                await self._pace.breathe()
        await self._pace.patiently(self._write)

    async def _cursor(self) -> Cursor | None:
        """Where the target that is furthest behind has come to; None for the beginning of the log."""
        found: list[Cursor] = []
        for target, edition in self._editions.items():
            cursor = (await self._store.read_cursors(target)).get(self._name(edition))
            if cursor is not None:
                self._had[target] = cursor.position
                found.append(cursor)
        return min(found, key=lambda cursor: cursor.position) if len(found) == len(self._editions) else None

    def _open(self, cursor: Cursor | None) -> JournalSource:
        position, digest = (cursor.position, cursor.hash) if cursor is not None else (NOWHERE, b"")
        partition = self._source.partition
        reader = BlockReader(partition, self._journal, Tail(), position, digest)
        return JournalSource(reader, self._domain.service, partition, self._feed.event_type)

    async def _take(self, arrival: Arrival) -> None:
        event, source = arrival.event, arrival.source
        if event is None or source is None:
            return
        view = StoredView(
            partition=self._source.partition, at_least=source.position.offset, store=self._store,
            domain=self._domain, clock=self._clock,
        )  # fmt: skip
        for one in await self._pace.patiently(partial(self._feed.react, event, source, view)):
            if isinstance(one, Advance):
                self._gather(one, source.position)
        self._done = arrival.done or self._done

    def _gather(self, advance: Advance, position: Position) -> None:
        target = partition_of_id(advance.key, self._journal.partitions)
        if target in self._editions and position > self._had[target]:
            self._rows[target].append(Row(advance.key, advance.row, advance.fields))
            self._gathered += 1

    async def _write(self) -> None:
        """Merges what was gathered, and says in each edition how far the source has been asked."""
        for target, edition in self._editions.items():
            if self._rows[target]:
                await self._store.at(edition).merge_rows(target, self._rows[target])
                self._rows[target] = []
            if self._done is not None and self._done.position > self._had[target]:
                await self._store.write_cursor(target, self._name(edition), self._done)
                self._had[target] = self._done.position
        self._gathered = 0
        if self._done is not None:
            self._on_progress(self._done.position.offset)

    def _name(self, edition: int) -> str:
        return row_cursor(edition, self._feed, self._source.partition)


def row_cursor(edition: int, feed: RowFeed, source: int) -> str:
    """Names the cursor that says up to where a source's advances are in an edition."""
    return edition_cursor(edition, f"{feed.name}/{source}")


def feed_of(reactions: Sequence[Reaction]) -> RowFeed | None:
    """The service's feed of rows, if it has one. Raises `ValueError` for more than one, or one of a stream."""
    feeds = [reaction for reaction in reactions if isinstance(reaction, RowFeed)]
    if not feeds:
        return None
    if len(feeds) > 1 or feeds[0].topic is not None:
        raise ValueError("rows follow from one reaction to the service's own journal")
    return feeds[0]
