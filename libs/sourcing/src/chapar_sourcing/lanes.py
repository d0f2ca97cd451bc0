"""One way to one target partition: what reactors send there, in order, again and again until it has arrived.

Flows in: items. Flows out: calls of `Targets`, and `on_done` for each item once its target has dealt with it. Lanes do
not wait for each other: that is why there is one a target.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.clock import Clock
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.hosting import Targets
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.refusing import TRANSIENT, EngineRefused

SUBMIT_COMMANDS_MAX = 50
ADVANCES_MAX = 500
BACKOFF_SECONDS_MIN = 0.05
BACKOFF_SECONDS_MAX = 2.0

log = logging.getLogger(__name__)

Parcel: TypeAlias = peer.SubmittedCommand | peer.Advance


class ChainBroken(Exception):
    """The target misses a creation before this one: read the cursors again and send from there."""


class CreationRefused(ChainBroken):
    """The target refused a creation for good: those put after it name it as the one before. Each is raised for once,
    so that there is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send; `on_done` is called once."""

    parcel: Parcel
    on_done: Callable[[], None]
    on_refused: Callable[[], None] | None = None
    """Of a creation: called where the target refuses it for good, before `CreationRefused`. What was put after it names
    it as the one before, and the target has never had it."""


class Lane:
    """Sends to one target."""

    def __init__(self, *, name: str, target: int, targets: Targets, clock: Clock, measures: Measures) -> None:
        self._name = name
        self._target = target
        self._targets = targets
        self._clock = clock
        self._measures = measures
        self._items: deque[Item] = deque()
        self._wake = asyncio.Event()

    def put(self, item: Item) -> None:
        """Adds to the end; the reactor bounds how much may be under way."""
        self._items.append(item)
        self._wake.set()

    async def run(self) -> None:
        """Sends until cancelled. Raises `ChainBroken`."""
        backoff = BACKOFF_SECONDS_MIN
        while True:
            if not self._items:
                self._wake.clear()
                await self._wake.wait()
            batch = self._batch()
            done = await self._send(batch)
            for item in batch[:done]:
                self._items.popleft()
                item.on_done()
            if done == len(batch):
                backoff = BACKOFF_SECONDS_MIN
                continue
            self._measures.count("reactor_retries", reactor=self._name)
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)

    def _batch(self) -> Sequence[Item]:
        """The longest beginning of the queue that fits into one call."""
        kind = type(self._items[0].parcel)
        count_max = SUBMIT_COMMANDS_MAX if kind is peer.SubmittedCommand else ADVANCES_MAX
        batch: list[Item] = []
        for item in self._items:
            if type(item.parcel) is not kind or len(batch) == count_max:
                break
            batch.append(item)
        return batch

    async def _send(self, batch: Sequence[Item]) -> int:
        """Sends a batch once and says how many of its first items are dealt with."""
        commands = [i.parcel for i in batch if isinstance(i.parcel, peer.SubmittedCommand)]
        advances = [i.parcel for i in batch if isinstance(i.parcel, peer.Advance)]
        try:
            if advances:
                await self._targets.advance(self._target, advances)
                return len(batch)
            reasons = await self._targets.submit(self._target, commands)
        except (Unavailable, EngineRefused):
            return 0
        except Exception:
            # The target's rules fail at a command: a bug, which may end nobody else. It waits for what mends it.
            self._measures.count("reactor_failures", reactor=self._name)
            log.exception("%s: partition %d fails at a command", self._name, self._target)
            return 0
        return self._judged(batch, reasons)

    def _judged(self, batch: Sequence[Item], reasons: Sequence[str]) -> int:
        for place, reason in enumerate(reasons):
            if reason in TRANSIENT:
                return place
            if reason == HOLE_REASON:
                self._measures.count("reactor_holes", reactor=self._name)
                raise ChainBroken(f"{self._name} to partition {self._target}")
            if reason:
                self._measures.count("reactor_refusals", reactor=self._name, reason=reason)
                log.warning("reactor %s: partition %d refused a command: %s", self._name, self._target, reason)
                if (tell := batch[place].on_refused) is not None:
                    tell()
                    raise CreationRefused(f"{self._name} to partition {self._target}")
        return len(reasons)
