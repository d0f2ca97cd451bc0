"""Carries the erasures of one partition out: a new key for the subject, a wait, then the old keys are destroyed.

Flows in: marks of erasures, all there are when the partition is taken over and each new one once it is in the store.
Flows out: destroyed keys. Nothing is noted down: whoever takes the partition over goes through all marks again, which
finishes what a crash cut short, and repeats what a restored key store has undone.

The wait is what makes the order safe without asking every process. Whoever seals has known for at most
`SEALING_SECONDS_MAX` that the key is the newest, and what is sealed is decided within `SEALED_MS_MAX` or sealed anew.
So nothing that is decided after the destruction is sealed with a destroyed key. A subject that has ended needs no wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from chapar_sourcing.clock import Clock
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.erasures import ERASURE_KIND, LAST_PERIOD_MS, ErasureMark, mark_of
from chapar_sourcing.keyring import SEALING_SECONDS_MAX
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import DocumentWrite, Unavailable
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.requests import SEALED_MS_MAX
from chapar_sourcing.sealing import KeyDestroyer
from chapar_sourcing.view import View

T = TypeVar("T")

WAIT_SECONDS = SEALING_SECONDS_MAX + SEALED_MS_MAX / 1000 + 3.0
"""From the new key to the end of the old ones; the last part is for owners' clocks, which may stand still for two
seconds when they are set right, and run unevenly."""
MARKS_MAX = 1_000
"""Marks at a time; of new ones that wait, beyond it all are gone through again."""
BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0

Marks: TypeAlias = Sequence[tuple[Key, Document]]


class ReadPartition(Protocol):
    """Runs a function on a view and returns its result once what it saw is known to be true."""

    async def __call__(self, read: Callable[[View], Awaitable[T]], /) -> T:
        """Raises `EngineRefused` and `Unavailable`."""


class Eraser:
    """One partition's eraser; `run` after the partition was taken over."""

    def __init__(
        self, *, keys: KeyDestroyer, read: ReadPartition, clock: Clock, measures: Measures, marks_max: int = MARKS_MAX
    ) -> None:
        self.name = "eraser"
        self._keys = keys
        self._read = read
        self._clock = clock
        self._measures = measures
        self._marks_max = marks_max
        self._noted: dict[str, ErasureMark] = {}
        self._overflowed = False
        self._wake = asyncio.Event()

    def written(self, documents: Sequence[DocumentWrite]) -> None:
        """Notes the marks among documents that are durable; until `run` begins this needs not be told of any."""
        for write in documents:
            if write.key.kind != ERASURE_KIND or write.data is None:
                continue
            if len(self._noted) < self._marks_max:
                self._noted[write.key.id] = mark_of(write.data)
            else:
                self._overflowed = True
            self._wake.set()

    async def run(self) -> None:
        """Erases until cancelled. Raises `Unavailable`; what was noted is then found among all marks."""
        await self._go_through_all()
        while True:
            await self._wake.wait()
            self._wake.clear()
            noted, self._noted = self._noted, {}
            await self._erase(noted)
            if self._overflowed:
                self._overflowed = False
                await self._go_through_all()

    async def _go_through_all(self) -> None:
        after = ""
        while True:
            page = await self._marks(after)
            await self._erase({key.id: mark for key, mark in page if isinstance(mark, ErasureMark)})
            if len(page) < self._marks_max:
                return
            after = page[-1][0].id

    async def _marks(self, after: str) -> Marks:
        try:
            return await self._read(partial(_page, after, self._marks_max))
        except EngineRefused as refused:
            raise Unavailable(f"marks cannot be read: {refused.reason}") from None

    async def _erase(self, marks: dict[str, ErasureMark]) -> None:
        """New keys for some subjects, then the old ones destroyed: of those that have ended at once, because what is
        still sealed for them is to be erased as well, whenever it is decided."""
        for subject, mark in marks.items():
            await self._keys.force(subject, mark.period_ms)
        living = {subject: mark for subject, mark in marks.items() if mark.period_ms < LAST_PERIOD_MS}
        await self._destroy({subject: mark for subject, mark in marks.items() if subject not in living})
        if living:
            await self._clock.sleep(WAIT_SECONDS)
            await self._destroy(living)

    async def _destroy(self, marks: dict[str, ErasureMark]) -> None:
        for subject, mark in marks.items():
            self._measures.count("keys_destroyed", await self._destroyed(subject, mark))

    async def _destroyed(self, subject: str, mark: ErasureMark) -> int:
        """Destroys, as often as it takes: how many keys went."""
        backoff = BACKOFF_SECONDS_MIN
        while True:
            try:
                return await self._keys.destroy(subject, mark.period_ms)
            except Unavailable:
                await self._clock.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)


async def _page(after: str, limit: int, view: View) -> Marks:
    return await view.scan(ERASURE_KIND, "", after=after, limit=limit)
