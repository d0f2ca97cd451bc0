"""What must hold at the end of every run, judged from the journal alone by other means than the engine's own."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import StringValue

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key, decode
from chapar_sourcing.ports import JournalRecord
from tests.simulation.clients import Client
from tests.simulation.node import Node
from tests.simulation.toy import Item, Register, Registers
from tests.simulation.world import Violation, World


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry that counts."""

    offset: int
    scope: str
    request_id: bytes
    events: Sequence[dict[str, object]]
    refused: str


def valid_entries(records: Sequence[JournalRecord]) -> list[Booked]:
    """The entries that count, in order."""
    epoch, writer, sequence, digest = 0, b"", 0, bytes(32)
    booked: list[Booked] = []
    for stored in records:
        record = journal.Record.FromString(stored.data)
        if record.HasField("claim"):
            if record.claim.epoch <= epoch:
                continue
            epoch, writer = record.claim.epoch, record.claim.writer
        else:
            block = record.block
            if (block.epoch, block.writer, block.sequence) != (epoch, writer, sequence + 1):
                continue
            if block.previous_hash != digest:
                raise Violation(f"the block at offset {stored.offset} has another past")
            sequence += 1
            for entry in block.entries:
                events = [json.loads(StringValue.FromString(data).value) for data in entry.events.events]
                booked.append(Booked(stored.offset, entry.actor.user, entry.request_id, events, entry.refusal.reason))
        digest = hashlib.sha256(digest + stored.data).digest()
    return booked


def check_history(world: World, clients: Sequence[Client]) -> None:
    """Nothing acknowledged is lost, doubled or reordered; reads are never stale."""
    booked = valid_entries(world.journal.records)
    by_id: dict[tuple[str, bytes], Booked] = {}
    for entry in booked:
        identity = (entry.scope, entry.request_id)
        if identity in by_id:
            raise Violation(f"{entry.scope} {entry.request_id.hex()} was decided twice")
        by_id[identity] = entry
    numbers: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for put in (put for client in clients for put in client.puts):
        found = by_id.get((put.actor, put.request_id))
        for outcome in put.answers:
            if outcome.entry is None:
                # Not journaled: a double of the same try that is still on its way may yet be accepted.
                continue
            if found is None:
                raise Violation(f"{put.tag} was acknowledged and is lost")
            assert outcome.position is not None, "an answer from the log says where"
            if outcome.position.offset != found.offset:
                raise Violation(f"{put.tag} was acknowledged at {outcome.position}, and is at {found.offset}")
            if outcome.entry.refusal.reason != found.refused:
                raise Violation(f"{put.tag} got two answers")
        accepted = bool(put.answers) and put.answers[0].entry is not None
        if found is not None and found.events and accepted and put.answered_ms is not None:
            number = found.events[0]["number"]
            assert isinstance(number, int), "the toy numbers its items"
            numbers[put.register].append((put.started_ms, put.answered_ms, number))
    _check_order(numbers)
    _check_reads(numbers, clients)


def _check_order(numbers: dict[str, list[tuple[int, int, int]]]) -> None:
    for register, puts in numbers.items():
        for _, answered, number in puts:
            for started, _, later in puts:
                if started > answered and later < number:
                    raise Violation(f"{register}: {later} began after {number} was acknowledged")


def _check_reads(numbers: dict[str, list[tuple[int, int, int]]], clients: Sequence[Client]) -> None:
    for get in (get for client in clients for get in client.gets):
        puts = numbers[get.register]
        least = max((number for _, answered, number in puts if answered < get.started_ms), default=0)
        if get.count < least:
            raise Violation(f"{get.register}: {get.count} was read after {least} was acknowledged")
        for started, _, number in puts:
            if started > get.answered_ms and number <= get.count:
                raise Violation(f"{get.register}: {get.count} was read before {number} began")


def check_state(world: World, node: Node, domain: Registers) -> None:
    """fold(log) == live == store."""
    expected = refolded(world.journal.records)
    for key, value in expected.items():
        known, live = node.owner.peek(key)
        stored = world.store.documents.get(key)
        in_store = decode(domain.documents, key, stored.data) if stored is not None and stored.data else None
        if known and live != value:
            raise Violation(f"{key}: live is {live}, the log says {value}")
        if in_store != value:
            raise Violation(f"{key}: the store has {in_store}, the log says {value}")
    extra = {k for k, s in world.store.documents.items() if s.data and k.kind != "answer"} - set(expected)
    if extra:
        raise Violation(f"the store has what the log does not: {extra}")


def refolded(records: Sequence[JournalRecord]) -> dict[Key, object]:
    """The documents, by another way than `evolve`: from the items that count."""
    domain = Registers(journals_refusals=False)
    times = {}
    for stored in records:
        record = journal.Record.FromString(stored.data)
        times[stored.offset] = record.block.time_ms
    documents: dict[Key, object] = {}
    for entry in valid_entries(records):
        for event in entry.events:
            message = StringValue(value=json.dumps(event))
            for key in domain.touches(message):
                if key.kind == "register":
                    documents[key] = Register(int(str(event["number"])), times[entry.offset])
                elif key.id.lstrip("0") == str(event["number"]):
                    documents[key] = Item(str(event["tag"]))
                else:
                    documents[key] = None
    return documents
