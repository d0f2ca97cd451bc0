"""The chain of one partition: which records count, and whether they follow from each other.

Written from the rule, not from the engine. A record that does not count is *void* and is explained; one that
contradicts the log is *damage*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_client.verifier._voids import Voids


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that counts, with the place of its first event and its block's clock."""

    offset: int
    first_event: int
    time_ms: int
    entry: journal.Entry


@dataclass(slots=True)
class Chain:
    """Walks one partition's records. After the walk: `damage` lists contradictions, `voids` explains the others."""

    epoch: int = 0
    writer: bytes = b""
    writer_since: int = 0
    sequence: int = 0
    digest: bytes = bytes(32)
    offset: int = -1
    time_ms: int = 0
    schema_level: int = 1
    records: int = 0
    claims: int = 0
    blocks: int = 0
    entries: int = 0
    voids: Voids = field(default_factory=Voids)
    damage: list[str] = field(default_factory=list)
    _level_since: int = -1
    _digests: dict[int, bytes] = field(default_factory=dict)
    _answered: set[tuple[str, bytes]] = field(default_factory=set)

    def walk(self, records: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
        """Takes records in order of offsets; yields the entries that count."""
        for offset, data in records:
            if offset <= self.offset:
                self.damage.append(f"offset {offset} follows offset {self.offset}")
                return
            yield from self._record(offset, data)
            self.offset = offset
            self.records += 1
            self._digests[offset] = self.digest

    def _record(self, offset: int, data: bytes) -> Iterator[Entry]:
        try:
            record = journal.Record.FromString(data)
        except Exception:
            self.damage.append(f"offset {offset} cannot be read")
            return
        if record.HasField("claim"):
            self._claim(offset, record.claim, data)
        elif record.HasField("block"):
            yield from self._block(offset, record.block, data)
        else:
            self.damage.append(f"offset {offset} is neither claim nor block")

    def _claim(self, offset: int, claim: journal.Claim, data: bytes) -> None:
        if claim.folded_offset >= offset:
            self.damage.append(f"the claim at {offset} had read up to {claim.folded_offset}: the log was cut")
        elif self.digest_at(claim.folded_offset) != claim.folded_hash:
            self.damage.append(f"the claim at {offset} had read another log up to {claim.folded_offset}")
        if claim.epoch <= self.epoch:
            self.voids.void_claim(offset, claim)
            return
        self._levelled(offset, claim)
        self.voids.claimed(offset, claim)
        self.epoch, self.writer, self.writer_since = claim.epoch, claim.writer, self.sequence
        self.claims += 1
        self.digest = hashlib.sha256(self.digest + data).digest()

    def _levelled(self, offset: int, claim: journal.Claim) -> None:
        """Whoever has read that the schema's level was raised never claims below it."""
        level = claim.schema_level or 1
        if level > self.schema_level:
            self.schema_level, self._level_since = level, offset
        elif level < self.schema_level and claim.folded_offset >= self._level_since:
            self.damage.append(
                f"the claim at {offset} is of schema level {level}, below {self.schema_level} of the claim at"
                f" {self._level_since}"
            )

    def digest_at(self, offset: int) -> bytes:
        """The hash over all that counts up to an offset."""
        while offset >= 0 and offset not in self._digests:
            offset -= 1
        return self._digests.get(offset, bytes(32))

    def _block(self, offset: int, block: journal.Block, data: bytes) -> Iterator[Entry]:
        if block.epoch < self.epoch and block.writer != self.writer:
            self.voids.void_block(offset, block)
            return
        if (block.epoch, block.writer) != (self.epoch, self.writer) or not self.claims:
            self.damage.append(f"the block at {offset} is of epoch {block.epoch}, whose claim is not in this log")
            return
        if self.writer_since < block.sequence <= self.sequence:
            self.voids.repeated_block(offset, block)
            return
        if block.sequence != self.sequence + 1:
            self.damage.append(f"block {block.sequence} at {offset} follows block {self.sequence}")
            return
        if block.previous_hash != self.digest:
            self.damage.append(f"block {block.sequence} at {offset} was written after another history")
            return
        if block.time_ms < self.time_ms:
            self.damage.append(f"block {block.sequence} at {offset} is older than the one before it")
        self.sequence, self.time_ms = block.sequence, block.time_ms
        self.blocks += 1
        self.voids.stands(offset)
        self.digest = hashlib.sha256(self.digest + data).digest()
        yield from self._entries(offset, block)

    def _entries(self, offset: int, block: journal.Block) -> Iterator[Entry]:
        event = 0
        for entry in block.entries:
            kind = entry.actor.WhichOneof("kind") or ""
            identity = (f"{kind}:{getattr(entry.actor, kind, '')}", entry.request_id)
            if identity in self._answered:
                self.damage.append(f"request {entry.request_id.hex()} of {identity[0]} was decided twice, at {offset}")
            self._answered.add(identity)
            self.entries += 1
            yield Entry(offset, event, block.time_ms, entry)
            event += len(entry.events.events)
