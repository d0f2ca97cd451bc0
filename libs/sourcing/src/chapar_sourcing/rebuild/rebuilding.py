"""Goes through a rebuild: begins editions, builds their documents and rows, compares, switches; or goes back, or drops.

Everything is resumed where it was left: which edition is being built is the store's, how far it has come is its
checkpoint and its cursors. So a rebuild that was cut short is begun again with the same words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

from chapar_sourcing.clock import Clock
from chapar_sourcing.domain import Domain
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Cursor, Journal, Store
from chapar_sourcing.positions import NOWHERE
from chapar_sourcing.reactions import Reaction
from chapar_sourcing.rebuild.comparison import Comparison, TooBusy
from chapar_sourcing.rebuild.documents import DocumentsBuilder
from chapar_sourcing.rebuild.pace import Pace
from chapar_sourcing.rebuild.rows import RowsBuilder, RowSource, feed_of, row_cursor
from chapar_sourcing.rebuild.steps import Step, goal_of
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.requests import answers_since_ms

MOVED_MAX = 1_000
LAG_OFFSETS_MAX = 200
"""How much may be left to fold and to compare when the partition pauses for the switch."""
APPROACHES_MAX = 20
SETTLES_MAX = 50
SETTLE_SECONDS = 0.1

log = logging.getLogger(__name__)


class _Moved(Exception):
    """Another process owns the partition now."""


class Phase(Enum):
    """Where a partition is."""

    DOCUMENTS = "documents"
    ROWS = "rows"
    COMPARING = "comparing"
    SWITCHED = "switched"
    DIFFERENT = "different"
    SKIPPED = "skipped"
    DROPPED = "dropped"
    MOVED = "moved"
    """Another process owns the partition now: it goes on with what was built, when it is asked."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far a rebuild has come in one partition, or how it ended there."""

    partition: int
    edition: int
    """The one that is built, switched to, or dropped."""
    phase: Phase
    done: int = 0
    total: int = 0
    """Offsets while building, documents and keys of rows afterwards; the total is 0 where it is not known."""
    differences: int = 0
    different_keys: Sequence[str] = ()
    """The first of them."""


class Rebuildable(Protocol):
    """What a rebuild needs of a partition that is owned here."""

    @property
    def confirmed_checkpoint(self) -> int:
        """Offset of the live edition's checkpoint; -1 where there is none."""

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile the store stands at its checkpoint and no rows are merged."""

    async def confirm(self) -> bool:
        """Whether this process still owns the partition. Raises `EngineRefused` when that cannot be known."""


class Rebuilding:
    """One run over some partitions of a service, all owned by this process."""

    def __init__(
        self, *, partitions: Callable[[int], Rebuildable], domain: Domain[Any, Any],
        reactions: Sequence[Reaction], journal: Journal, store: Store, clock: Clock, measures: Measures,
        report: Callable[[Rebuilt], None],
    ) -> None:  # fmt: skip
        self._partitions = partitions
        self._domain = domain
        self._service = domain.service
        self._feed = feed_of(reactions)
        self._journal = journal
        self._store = store
        self._clock = clock
        self._measures = measures
        self._told = report
        self._pace = Pace(clock)

    async def run(self, step: Step, partitions: Sequence[int]) -> None:
        """Does what was asked, partition by partition.

        Raises `RebuildRefused`, `EditionRefused`, `LogDamaged`, `Unavailable`, `EngineRefused`; what was done stays.
        """
        if step is Step.DROP:
            for number in partitions:
                await self._drop(number)
            return
        editions = await self._begin(step, partitions)
        builders = {number: self._builder(number, edition) for number, edition in editions.items()}
        for number, builder in list(builders.items()):
            if not await self._done_here(number, editions[number], self._build_documents(number, builder)):
                del builders[number]
        await self._build_rows({number: editions[number] for number in builders})
        for number, builder in builders.items():
            self._pace.hurried = False
            await self._done_here(number, editions[number], self._finish(number, editions[number], builder))

    async def _done_here(self, number: int, edition: int, work: Awaitable[None]) -> bool:
        """Does something to a partition; False where that has moved away."""
        try:
            await work
        except _Moved:
            self._report(Rebuilt(number, edition, Phase.MOVED))
            return False
        return True

    async def _begin(self, step: Step, partitions: Sequence[int]) -> Mapping[int, int]:
        """Which edition of each partition to build; from here on rows are merged into them."""
        goals: dict[int, int] = {}
        for number in partitions:
            editions = await self._store.editions(number)
            edition = goal_of(step, editions)
            if edition is None:
                self._report(Rebuilt(number, editions.live, Phase.SKIPPED))
            else:
                goals[number] = edition
        await asyncio.gather(*(self._store.build_edition(number, edition) for number, edition in goals.items()))
        return goals

    # ---- building

    def _builder(self, number: int, edition: int) -> DocumentsBuilder:
        progress = Rebuilt(number, edition, Phase.DOCUMENTS)
        return DocumentsBuilder(
            partition=number, domain=self._domain, journal=self._journal, edition=self._store.at(edition),
            pace=self._pace,
            on_progress=lambda offset: self._report(
                replace(progress, done=offset, total=self._owned(number).confirmed_checkpoint)
            ),
        )  # fmt: skip

    async def _build_documents(self, number: int, builder: DocumentsBuilder) -> None:
        await builder.open()
        await builder.build(self._owned(number).confirmed_checkpoint)

    async def _build_rows(self, editions: Mapping[int, int]) -> None:
        """Asks the feed about every partition of the service, whoever owns it: rows of any target come from any source.

        What was merged into live editions alone was so before `_begin`, and came from what logs held then.
        """
        if self._feed is None or not editions:
            return
        for source in range(self._journal.partitions):
            end = await self._pace.patiently(partial(self._journal.end_offset, source)) - 1
            edition = max(editions.values())
            await RowsBuilder(
                feed=self._feed, domain=self._domain, source=RowSource(source, end), editions=editions,
                journal=self._journal, store=self._store, clock=self._clock, pace=self._pace,
                on_progress=self._rows_progress(source, edition, end),
            ).build()  # fmt: skip

    def _rows_progress(self, source: int, edition: int, end: int) -> Callable[[int], None]:
        return lambda offset: self._report(Rebuilt(source, edition, Phase.ROWS, offset, end))

    # ---- comparing and switching

    async def _finish(self, number: int, edition: int, builder: DocumentsBuilder) -> None:
        editions = await self._store.editions(number)
        comparison = Comparison(
            partition=number, live=self._store.at(editions.live), built=self._store.at(edition), feed=self._feed,
            pace=self._pace,
            answers_since_ms=answers_since_ms(builder.fold.time_ms, keeps_answers=self._domain.keeps_answers),
        )  # fmt: skip
        self._report(Rebuilt(number, edition, Phase.COMPARING))
        await comparison.compare(builder.fold.offset)
        await self._approach(number, builder, comparison)
        for _ in range(SETTLES_MAX):
            if await self._switched(number, edition, editions.live, builder, comparison):
                return
            await self._clock.sleep(SETTLE_SECONDS)
        raise TooBusy(f"partition {number} does not come to rest")

    async def _approach(self, number: int, builder: DocumentsBuilder, comparison: Comparison) -> None:
        """Follows the live edition until little is left to do while the partition pauses."""
        for approach in range(APPROACHES_MAX):
            self._pace.hurried = approach >= APPROACHES_MAX // 2
            checkpoint = self._owned(number).confirmed_checkpoint
            if comparison.moved <= MOVED_MAX and checkpoint - builder.fold.offset <= LAG_OFFSETS_MAX:
                return
            await builder.build(checkpoint)
            await comparison.compare_again()

    async def _switched(
        self, number: int, edition: int, live: int, builder: DocumentsBuilder, comparison: Comparison
    ) -> bool:
        """Compares the rest while nothing moves, and switches where nothing differs; False where something moves."""
        partition = self._owned(number)
        async with partition.paused():
            self._pace.hurried = True
            if not await _confirmed(partition):
                return False  # One that has only just come back does not know its checkpoint yet.
            checkpoint = partition.confirmed_checkpoint
            await builder.build(checkpoint)
            arrived = await self._arrived()
            await comparison.compare_again(checkpoint, rows_rest=await self._rows_rest(number, edition, arrived))
            compared = comparison.documents + comparison.row_keys
            if comparison.differences.count:
                self._different(number, edition, compared, comparison)
                return True
            # Whoever could not be confirmed may have claimed anew; one that was deposed is not found the next time.
            if comparison.moved or not await _confirmed(partition) or partition.confirmed_checkpoint != checkpoint:
                return False
            await self._store.switch_edition(number, edition)
        await self._note_arrived(number, live, arrived)
        self._report(Rebuilt(number, edition, Phase.SWITCHED, compared, compared))
        self._measures.count("editions_switched")
        log.warning("partition %d of %s is served from edition %d now", number, self._service, edition)
        return True

    def _different(self, number: int, edition: int, compared: int, comparison: Comparison) -> None:
        found = comparison.differences
        self._measures.count("edition_differences", found.count)
        self._report(
            Rebuilt(number, edition, Phase.DIFFERENT, compared, compared, found.count, tuple(found.shown))
        )  # fmt: skip
        log.error("partition %d of %s: edition %d differs in %d keys", number, self._service, edition, found.count)

    async def _arrived(self) -> Mapping[int, Cursor]:
        """Up to where the advances of each source are in the live editions."""
        if self._feed is None:
            return {}
        name = f"reactor/{self._feed.name}"
        found: dict[int, Cursor] = {}
        for source in range(self._journal.partitions):
            cursor = (await self._store.read_cursors(source)).get(name)
            if cursor is not None:
                found[source] = cursor
        return found

    async def _rows_rest(self, number: int, edition: int, arrived: Mapping[int, Cursor]) -> bool:
        """Whether all that was replayed into an edition has arrived in the live one, too."""
        if self._feed is None:
            return True
        cursors = await self._store.read_cursors(number)
        for source in range(self._journal.partitions):
            replayed = cursors.get(row_cursor(edition, self._feed, source))
            reached = arrived[source].position if source in arrived else NOWHERE
            if replayed is not None and replayed.position > reached:
                return False
        return True

    async def _note_arrived(self, number: int, kept: int, arrived: Mapping[int, Cursor]) -> None:
        """Notes in the edition that was live until now from where its rows have to be brought up to date."""
        for source, cursor in arrived.items():
            assert self._feed is not None, "its cursors were read"
            await self._store.write_cursor(number, row_cursor(kept, self._feed, source), cursor)

    # ---- dropping

    async def _drop(self, number: int) -> None:
        editions = await self._store.editions(number)
        if editions.other is None:
            self._report(Rebuilt(number, editions.live, Phase.SKIPPED))
            return
        while not await self._store.drop_edition(number):
            await self._pace.breathe()
        self._report(Rebuilt(number, editions.other, Phase.DROPPED))

    def _owned(self, number: int) -> Rebuildable:
        """The partition as it is now: it may have come back meanwhile. Raises `_Moved`."""
        try:
            return self._partitions(number)
        except EngineRefused:
            raise _Moved from None

    def _report(self, rebuilt: Rebuilt) -> None:
        labels = {"partition": str(rebuilt.partition), "phase": rebuilt.phase.value}
        self._measures.gauge("rebuild_done", rebuilt.done, **labels)
        self._measures.gauge("rebuild_total", rebuilt.total, **labels)
        self._told(rebuilt)


async def _confirmed(partition: Rebuildable) -> bool:
    try:
        return await partition.confirm()
    except EngineRefused:
        return False
