"""`digest`: shows that the log folded from zero and the store with the rest of the log hold the same documents.

Runs while the service is down (its files are held by one process). The store may lag behind the log and be ahead of
its own checkpoint, both by design; so it is brought up to the log's end first, in memory, as an owner taking over does.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from chapar_chassis.ports import open_journal, open_store, refuse_other_journal
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.digest import answers_of, digest_of, refold, stored_documents
from chapar_sourcing.domain import Document, Domain, Key, Stored, When, decode, encode
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.ports import Journal, Store
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import answers_since_ms
from chapar_sourcing.tail import ValidBlock


async def print_digests(domain: Domain[Any, Any], settings: CommonSettings, output: TextIO) -> int:
    """Prints one JSON object a partition and says 0 when all are equal, else 1."""
    source = await open_journal(settings, domain.service)
    try:
        store = await open_store(settings, domain.service)
        try:
            await refuse_other_journal(domain.service, source, store)
            equal = [await _print_digest(domain, source, store, n, output) for n in range(source.partitions)]
        finally:
            await store.close()
    finally:
        await source.close()
    return 0 if all(equal) else 1


async def _print_digest(
    domain: Domain[Any, Any], source: Journal, store: Store, partition: int, output: TextIO
) -> bool:
    refolded = await refold(source, partition, domain)
    since_ms = answers_since_ms(refolded.state.time_ms, keeps_answers=domain.keeps_answers)
    log = digest_of(refolded.documents, answers_since_ms=since_ms)
    caught_up = await _caught_up(domain, source, store, partition, refolded.state)
    held = digest_of(caught_up, answers_since_ms=since_ms)
    row = {
        "partition": partition,
        "offset": refolded.state.offset,
        "hash": refolded.state.hash.hex(),
        "documents": log.documents,
        "log_digest": log.sha256.hex(),
        "store_documents": held.documents,
        "store_digest": held.sha256.hex(),
        "equal": log == held,
    }
    print(json.dumps(row), file=output)
    return log == held


async def _caught_up(
    domain: Domain[Any, Any], source: Journal, store: Store, partition: int, end: FoldState
) -> dict[Key, Stored]:
    """What the store holds, after the records from its checkpoint on. Raises `LogDamaged`, `Unavailable`."""
    documents = await stored_documents(store, partition)
    checkpoint = await store.read_checkpoint(partition)
    state = FoldState() if checkpoint is None else checkpoint.fold
    while state.offset < end.offset:
        for record in await source.read(partition, state.offset + 1):
            state, verdict, parsed = fold(state, record.offset, record.data)
            if verdict is Verdict.BLOCK:
                _apply(domain, documents, ValidBlock(record.offset, parsed.block, state.hash))
    if state.hash != end.hash:
        raise LogDamaged(f"the store of partition {partition} was written from another log")
    return documents


def _apply(domain: Domain[Any, Any], documents: dict[Key, Stored], block: ValidBlock) -> None:
    """Applies a block where a document is not past it already."""
    when = When(block.block.time_ms)
    for at in block.events(domain.event_type):
        for key in domain.touches(at.event):
            held = documents.get(key)
            if held is None or held.position < at.position:
                documents[key] = _evolved(domain, key, held, at.event, at.position, when)
    documents.update(answers_of(block.offset, block.block))


def _evolved(
    domain: Domain[Any, Any], key: Key, held: Stored | None, event: Any, position: Position, when: When
) -> Stored:
    before: Document | None = None
    if held is not None and held.data is not None:
        before = decode(domain.documents, key, held.data)
    after = domain.evolve(key, before, event, when)
    return Stored(position, None if after is None else encode(after))
