"""What must hold at the end of every run, judged from the journal alone by other means than the engine's own."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key, decode
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.timers import TIMER_KIND, Timer
from tests.simulation.clients import Client
from tests.simulation.node import Node
from tests.simulation.playing import Violation
from tests.simulation.toy import Item, Register, Registers
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry that counts."""

    offset: int
    scope: str
    request_id: bytes
    events: Sequence[dict[str, Any]]
    refused: str


@dataclass(frozen=True, slots=True)
class Counted:
    """One block that counts, with the hash after it."""

    offset: int
    block: journal.Block
    hash: bytes


def valid_blocks(records: Sequence[JournalRecord]) -> list[Counted]:
    """The blocks that count, in order."""
    epoch, writer, sequence, digest = 0, b"", 0, bytes(32)
    blocks: list[Counted] = []
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
            blocks.append(Counted(stored.offset, block, hashlib.sha256(digest + stored.data).digest()))
        digest = hashlib.sha256(digest + stored.data).digest()
    return blocks


def valid_entries(records: Sequence[JournalRecord]) -> list[Booked]:
    """The entries that count, in order."""
    booked: list[Booked] = []
    for counted in valid_blocks(records):
        for entry in counted.block.entries:
            events = [json.loads(StringValue.FromString(data).value) for data in entry.events.events]
            booked.append(Booked(counted.offset, _scope(entry.actor), entry.request_id, events, entry.refusal.reason))
    return booked


def _scope(actor: journal.Actor) -> str:
    kind = actor.WhichOneof("kind")
    assert kind is not None, "everybody says who they are"
    return f"{kind} {getattr(actor, kind)}"


def check_history(world: World, clients: Sequence[Client]) -> None:
    """Nothing acknowledged is lost, doubled or reordered; reads are never stale."""
    booked = valid_entries(world.journal.records)
    by_id: dict[tuple[str, bytes], Booked] = {}
    for entry in booked:
        identity = (entry.scope, entry.request_id)
        if identity in by_id:
            raise Violation(f"{entry.scope} {entry.request_id.hex()} was decided twice")
        by_id[identity] = entry
    _check_wishes(booked)
    numbers: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for put in (put for client in clients for put in client.puts):
        found = by_id.get((_scope(put.actor), put.request_id))
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
        if found is not None and found.events and accepted and put.answered_ms is not None and put.marks is None:
            number = found.events[0]["number"]
            assert isinstance(number, int), "the toy numbers its items"
            numbers[put.register].append((put.started_ms, put.answered_ms, number))
    _check_order(numbers)
    _check_reads(numbers, clients)
    _check_marks(numbers, clients)


def _check_wishes(booked: Sequence[Booked]) -> None:
    """Whatever ids it had on its way, what was wished once happened once."""
    tags = [str(event["tag"]) for entry in booked for event in entry.events]
    twice = {tag for tag in tags if tags.count(tag) > 1}
    if twice:
        raise Violation(f"wished once and done twice: {twice}")


def _check_marks(numbers: dict[str, list[tuple[int, int, int]]], clients: Sequence[Client]) -> None:
    """An item whose put was acknowledged is there for marks begun later, unless it is one that later puts delete."""
    for wish in (put for client in clients for put in client.puts):
        if wish.marks is None or wish.marks % 3 == 2 or not wish.answers:
            continue
        there = any(n == wish.marks and answered < wish.started_ms for _, answered, n in numbers[wish.register])
        first = wish.answers[0]
        refused = first.reason or (first.entry.refusal.reason if first.entry else "")
        if there and refused:
            raise Violation(f"{wish.tag} was refused, and item {wish.marks} of {wish.register} is there")


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
    times = {counted.offset: counted.block.time_ms for counted in valid_blocks(records)}
    documents: dict[Key, object] = {}
    for entry in valid_entries(records):
        for event in entry.events:
            message = StringValue(value=json.dumps(event))
            for key in domain.touches(message):
                item = documents.get(key)
                if "mark" in event:
                    assert isinstance(item, Item), "only items are marked"
                    documents[key] = Item(item.tag, item.marks + 1)
                elif key.kind == "register":
                    documents[key] = Register(int(str(event["number"])), times[entry.offset], _chimes(item, event))
                elif key.kind == TIMER_KIND:
                    documents[key] = _timer(key, event)
                elif key.id.lstrip("0") == str(event["number"]):
                    documents[key] = Item(str(event["tag"]))
                else:
                    documents[key] = None
    return documents


def _chimes(before: object, event: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    waiting = {number: due for due, number in before.chimes} if isinstance(before, Register) else {}
    for _, number in (event[what] for what in ("chimed", "cancels") if what in event):
        del waiting[number]
    if "chimes" in event:
        due, number = event["chimes"]
        waiting[number] = due
    return tuple((waiting[number], number) for number in sorted(waiting))


def _timer(key: Key, event: Mapping[str, Any]) -> Timer | None:
    register, _, number = key.id.partition(".")[2].partition("/")
    return Timer(json.dumps([register, int(number)]).encode()) if event.get("number") == int(number) else None


def check_applied(world: World, node: Node) -> None:
    """The process was told of every block that counts since its checkpoint, once and in order."""
    told = [(applied.offset, applied.hash) for applied in node.applied]
    counted = [(c.offset, c.hash) for c in valid_blocks(world.journal.records) if c.offset > node.applied_from]
    if told != counted:
        raise Violation(f"{node.name} was told of {len(told)} blocks, and {len(counted)} count")
