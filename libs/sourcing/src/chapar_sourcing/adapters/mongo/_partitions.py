"""A partition's editions and the checkpoints of all of them, in one document: who reads it sees a switch whole.

A call that looks at a partition works on what it saw for a while. Whoever begins to build an edition, or to delete one,
first changes this document and then waits until nobody works on what was there before: that is what `KNOWN_S` bounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from chapar_sourcing.adapters.mongo._layout import PARTITIONS
from chapar_sourcing.adapters.mongo._link import Link, Session, Upsert
from chapar_sourcing.editions import Editions, Stage
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, StoreBehind, Unavailable

KNOWN_S = 1.0
"""For how long after it was read a partition's document may be worked on."""
WAIT_S = 1.2 * KNOWN_S
"""How long a change waits for those who work on what was there before; clocks may run differently by a fifth."""
TRIES_MAX = 20
"""How often a change is tried that others get ahead of."""


@dataclass(frozen=True, slots=True)
class Partition:
    """What a partition's document says, and when we asked, in seconds of the monotonic clock."""

    editions: Editions
    checkpoints: Mapping[int, Checkpoint]
    asked_s: float

    @property
    def known(self) -> bool:
        """Whether it may still be worked on."""
        return time.monotonic() - self.asked_s < KNOWN_S

    def reached(self, edition: int) -> int:
        """The offset of an edition's checkpoint; -1 for none."""
        return self.checkpoints[edition].fold.offset if edition in self.checkpoints else -1


class Partitions:
    """The documents of all partitions."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._last: dict[int, Partition] = {}
        self._unread: set[tuple[int, int]] = set()
        """Editions that are being dropped and that nobody reads or writes any more."""

    async def read(self, partition: int, *, session: Session | None = None) -> Partition:
        """What is there now, whatever became of the servers meanwhile."""
        asked_s = time.monotonic()
        found = await self._link.find_one(PARTITIONS, {"_id": partition}, newest=True, session=session)
        read = self._last[partition] = _partition(found, asked_s)
        return read

    async def last(self, partition: int) -> Partition:
        """What was there a moment ago, and may still be worked on."""
        last = self._last.get(partition)
        return last if last is not None and last.known else await self.read(partition)

    async def read_fresh(self, partition: int, edition: int | None, at_least: int, session: Session) -> Partition:
        """What is there; raises `StoreBehind` when the edition (None: the live one) has less than `at_least`, or when
        the answer is older than that."""
        asked_s = time.monotonic()
        found = _partition(await self._link.find_one(PARTITIONS, {"_id": partition}, session=session), asked_s)
        reached = found.reached(found.editions.live if edition is None else edition)
        if reached < at_least:
            raise StoreBehind(f"partition {partition} has {reached}, not {at_least}")
        return found

    async def change(self, partition: int, change: Callable[[Editions], Editions]) -> Editions:
        """Moves the editions on, alone or not at all; what they are now. Raises what `change` raises."""
        for _ in range(TRIES_MAX):
            old = (await self.read(partition)).editions
            new = change(old)
            if new == old:
                return new
            written = await self._link.write(
                PARTITIONS, [Upsert({"_id": partition, **_editions(old)}, {"$set": _editions(new)})]
            )
            if not written.duplicates:
                self._last.pop(partition, None)
                return new
        raise Unavailable(f"others keep changing the editions of partition {partition}")

    async def forget(self, partition: int) -> None:
        """Ends an edition that is being dropped, with its checkpoint."""
        editions = (await self.read(partition)).editions
        if editions.stage is Stage.DROPPING and editions.other is not None:
            ended = {"$set": _editions(editions.dropped()), "$unset": {f"checkpoints.{editions.other}": True}}
            await self._link.write(PARTITIONS, [Upsert({"_id": partition, **_editions(editions)}, ended)])
            self._last.pop(partition, None)
            self._unread.discard((partition, editions.other))

    async def write_checkpoint(self, partition: int, edition: int | None, checkpoint: Checkpoint) -> None:
        """Moves a checkpoint forward. Raises `ValueError` when the stored one is of another journal."""
        journal = (checkpoint.journal_id, checkpoint.generation)
        for _ in range(TRIES_MAX):
            found = await self.read(partition)
            number = found.editions.live if edition is None else edition
            stored = found.checkpoints.get(number)
            if stored is not None and (stored.journal_id, stored.generation) != journal:
                raise ValueError(f"the store belongs to journal {stored.journal_id}, not {checkpoint.journal_id}")
            if found.reached(number) >= checkpoint.fold.offset and stored is not None:
                return
            if await self._move(partition, number, checkpoint, over_none=stored is None):
                return
        raise Unavailable(f"others keep changing the checkpoint of partition {partition}")

    async def wait_for_others(self) -> None:
        """Returns once nobody works on what was there before a change that was made by now."""
        await asyncio.sleep(WAIT_S)

    async def wait_for_readers(self, partition: int, edition: int) -> None:
        """Returns once nobody works on an edition that is being dropped; waits for that once a process."""
        if (partition, edition) not in self._unread:
            await self.wait_for_others()
            self._unread.add((partition, edition))

    async def _move(self, partition: int, edition: int, checkpoint: Checkpoint, *, over_none: bool) -> bool:
        """Writes a checkpoint over none, or over a lower one of the same journal; False where that is not there."""
        at = f"checkpoints.{edition}"
        lower = {
            f"{at}.journal_id": checkpoint.journal_id,
            f"{at}.generation": checkpoint.generation,
            f"{at}.offset": {"$lt": checkpoint.fold.offset},
        }
        fields = {
            "journal_id": checkpoint.journal_id,
            "generation": checkpoint.generation,
            "offset": checkpoint.fold.offset,
            "fold": msgspec.msgpack.encode(checkpoint.fold),
        }
        where = {"_id": partition, **({at: None} if over_none else lower)}
        update = {"$set": {at: fields}, "$setOnInsert": _editions(Editions())}
        return not (await self._link.write(PARTITIONS, [Upsert(where, update)])).duplicates


def _editions(editions: Editions) -> dict[str, Any]:
    stage = None if editions.stage is None else editions.stage.value
    return {"live": editions.live, "other": editions.other, "stage": stage}


def _partition(found: Mapping[str, Any] | None, asked_s: float) -> Partition:
    if found is None:
        return Partition(Editions(), {}, asked_s)
    stage = None if found["stage"] is None else Stage(found["stage"])
    checkpoints = {
        int(edition): Checkpoint(
            one["journal_id"], one["generation"], msgspec.msgpack.decode(one["fold"], type=FoldState)
        )
        for edition, one in found.get("checkpoints", {}).items()
    }
    return Partition(Editions(found["live"], found["other"], stage), checkpoints, asked_s)
