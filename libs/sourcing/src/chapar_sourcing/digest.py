"""Digests of documents: the law that the log folded afresh, the owner's memory and the store hold the same.

A digest covers every live document in order of its key: kind, parent, id, position and data. Answers are documents of
kind "answer". Rows are not covered: they follow from several logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import ANSWER_KIND, Document, Domain, Key, Stored, When, encode
from chapar_sourcing.fold import FoldState, Verdict, fold
from chapar_sourcing.owner import Owner
from chapar_sourcing.owner.blocks import answer_key
from chapar_sourcing.ports import LogReader, Store
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import scope_of
from chapar_sourcing.schema import LogTooNew, schema_of
from chapar_sourcing.tail import ValidBlock

PAGE_DOCUMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 over the documents, and how many there are."""

    sha256: bytes
    documents: int


def digest_of(documents: Mapping[Key, Stored], *, answers_since_ms: int | None) -> Digest:
    """The digest of live documents. Tombstones do not count, nor do answers of blocks before `answers_since_ms`, see
    `chapar_sourcing.requests`: the store may have purged them, and the log never does."""
    digest = hashlib.sha256()
    count = 0
    for key in sorted(documents):
        stored = documents[key]
        data = canonical(key, stored.data, answers_since_ms or 0)
        if data is None:
            continue
        count += 1
        place = f"{stored.position.offset}.{stored.position.event_index}"
        for part in (key.kind.encode(), key.parent.encode(), key.id.encode(), place.encode(), data):
            digest.update(len(part).to_bytes(4, "big") + part)
    return Digest(digest.digest(), count)


def canonical(key: Key, data: bytes | None, answers_since_ms: int) -> bytes | None:
    """The bytes compared: an answer's maps in order, everything else as it is; None for what does not count."""
    if key.kind != ANSWER_KIND or data is None:
        return data
    answer = journal.Answer.FromString(data)
    return answer.SerializeToString(deterministic=True) if answer.time_ms >= answers_since_ms else None


def answers_of(offset: int, block: journal.Block) -> Iterable[tuple[Key, Stored]]:
    """The answers that a block gives, as documents."""
    first = 0
    for entry in block.entries:
        place = journal.SourcePosition(offset=offset, index=first)
        answer = journal.Answer(entry=entry, position=place, time_ms=block.time_ms)
        key = answer_key((scope_of(entry.actor), entry.request_id))
        yield key, Stored(Position(offset, first), answer.SerializeToString())
        first += len(entry.events.events)


# ---- the log


@dataclass(slots=True)
class Refolded:
    """A partition folded afresh."""

    state: FoldState = field(default_factory=FoldState)
    values: dict[Key, tuple[Position, Document]] = field(default_factory=dict)
    answers: dict[Key, Stored] = field(default_factory=dict)

    @property
    def documents(self) -> Mapping[Key, Stored]:
        """Everything as it would be stored."""
        values = {key: Stored(position, encode(value)) for key, (position, value) in self.values.items()}
        return {**values, **self.answers}


async def refold(
    source: LogReader,
    partition: int,
    domain: Domain[Any, Any],
    *,
    up_to: int | None = None,
    onto: Refolded | None = None,
) -> Refolded:  # fmt: skip
    """Folds a partition from its first record, or on from what was folded, to the end or up to an offset.

    Changes `onto`. Raises `LogDamaged`, `Unavailable`, and `LogTooNew` where this binary does not know the log's level.
    """
    refolded, schema = onto or Refolded(), schema_of(domain.event_type)
    while records := await source.read(partition, refolded.state.offset + 1):
        for record in records:
            if up_to is not None and record.offset > up_to:
                return refolded
            refolded.state, verdict, parsed = fold(refolded.state, record.offset, record.data)
            if problem := schema.problem_of(refolded.state.schema_level):
                raise LogTooNew(problem)
            if verdict is Verdict.BLOCK:
                _apply(refolded, ValidBlock(record.offset, parsed.block, refolded.state.hash), domain)
    return refolded


def _apply(refolded: Refolded, block: ValidBlock, domain: Domain[Any, Any]) -> None:
    when = When(block.block.time_ms)
    for at in block.events(domain.event_type):
        for key in domain.touches(at.event):
            held = refolded.values.get(key)
            value = domain.evolve(key, held[1] if held else None, at.event, when)
            if value is None:
                refolded.values.pop(key, None)
            else:
                refolded.values[key] = (at.position, value)
    refolded.answers.update(answers_of(block.offset, block.block))


# ---- the store, and the owner over it


async def stored_documents(store: Store, partition: int, *, at_least: int = -1) -> dict[Key, Stored]:
    """Everything that the store holds of a partition. Raises `StoreBehind` where it has less than `at_least`."""
    found: dict[Key, Stored] = {}
    after: Key | None = None
    while True:
        page = await store.documents(partition, at_least=at_least, after=after, limit=PAGE_DOCUMENTS)
        found.update(page)
        if len(page) < PAGE_DOCUMENTS:
            return found
        after = page[-1][0]


def held_documents(owner: Owner, domain: Domain[Any, Any]) -> Iterable[tuple[Key, Stored]]:
    """Everything that an owner's memory knows, with None for what it knows to be absent; answers not included.

    Only true of the log while the owner has nothing undurable.
    """
    for kind in domain.documents:
        for parent in owner.parents(kind):
            for identity, value in owner.group(kind, parent):
                key = Key(kind, parent, identity)
                position = owner.position_of(key)
                assert position is not None, "a key in memory has a position"
                yield key, Stored(position, None if value is None else encode(value))
