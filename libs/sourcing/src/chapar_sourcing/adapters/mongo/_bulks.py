"""How bulks go to the database: few at once, and only as large as it answers well within the deadline.

A process owns many partitions, and each writes whenever it has something. Together they can ask for more than the
database does within a deadline; it goes on with what was given up here, and what is repeated comes on top: from then on
nothing is ever done in time (ADR 0021). So writes wait here, in order and without a deadline, for one of a few turns;
and answers that come late make the next bulks smaller. Reads, checkpoints and other single writes wait for nobody.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from chapar_sourcing.adapters.mongo._link import BULK_WRITES_MAX, Delete, Late, Session, Upsert, Written

TURNS = 2
"""Bulks under way at once: while one is answered the next is there already. More gain nothing at a database that is
busy, and take threads of the driver from reads, which have five a core for all."""
WRITES_MIN = 4
WRITES_START = 25
SLOW, FAST = 1 / 5, 1 / 10
"""Of the deadline. An answer that takes longer than the first makes bulks smaller, well before one is given up; one
within the second lets them grow again. What each bulk costs however small it is, such as a slow majority, must leave
room for growth. A small bulk that is slow says nothing of the size; one that is given
up does."""
LATE_MAX = 3
"""How many bulks in succession may be given up before the caller is told."""
REST_S = 0.2
"""How long a turn rests at least after a bulk was given up; doubles with each in succession."""


class Writer(Protocol):
    """Sends one bulk; `Link` is one."""

    async def write(
        self, collection: str, writes: Sequence[Upsert | Delete], *, session: Session | None = None
    ) -> Written:
        """As `Link.write`."""


class Bulks:
    """The bulks of one process to one database."""

    def __init__(
        self, link: Writer, *, deadline_s: float, chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        """`deadline_s` is that of the link; `chance` draws a number from 0 up to 1: processes must not come back in
        step."""
        self._link = link
        self._slow_s, self._fast_s = SLOW * deadline_s, FAST * deadline_s
        self._chance = chance
        self._monotonic = monotonic
        self._sleep = sleep
        self._turns = asyncio.Semaphore(TURNS)
        self.size = WRITES_START
        """Writes in the next bulk."""

    async def write(
        self, collection: str, writes: Sequence[Upsert | Delete], *, session: Session | None = None
    ) -> Written:
        """Writes all, bulk by bulk, whatever the time it takes while the database answers; as `Link.write`.

        What it has acknowledged is not sent again. Raises `Unavailable`, `Late` after several that were given up.
        """
        written = Written()
        done = late = 0
        while done < len(writes):
            async with self._turns:
                part = writes[done : done + self.size]
                try:
                    answer = await self._timed(collection, part, session)
                except Late:
                    late += 1
                    if late == LATE_MAX:
                        raise
                    await self._sleep(REST_S * 2**late * (0.5 + self._chance() / 2))
                    continue
            written.duplicates += [done + place for place in answer.duplicates]
            written.deleted += answer.deleted
            done += len(part)
            late = 0
        return written

    async def _timed(self, collection: str, part: Sequence[Upsert | Delete], session: Session | None) -> Written:
        """One bulk; the size of the next follows from the time it took."""
        began_s, size = self._monotonic(), self.size
        answered = False
        try:
            answer = await self._link.write(collection, part, session=session)
            answered = True
            return answer
        finally:
            took_s = self._monotonic() - began_s
            if took_s > self._slow_s and (not answered or len(part) > size // 2):
                self.size = max(WRITES_MIN, min(self.size, size // 2))
            elif answered and took_s < self._fast_s and len(part) >= self.size:
                self.size = min(BULK_WRITES_MAX, self.size + max(1, self.size // 4))
