"""What must hold at the end of every run: what clients were told, and that all copies of the state are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chapar_sourcing.domain import decode
from tests.simulation.clients import Client
from tests.simulation.model import Model, scope_of
from tests.simulation.node import Node
from tests.simulation.playing import Violation
from tests.simulation.toy import Registers
from tests.simulation.world import World


def check_history(world: World, clients: Sequence[Client]) -> None:
    """Nothing acknowledged is lost, doubled or reordered; reads are never stale."""
    booked = Model.of(world.journal.records).entries
    numbers: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for put in (put for client in clients for put in client.puts):
        found = booked.get((scope_of(put.actor), put.request_id))
        for outcome in put.answers:
            if outcome.entry is None:
                # Not journaled: a double of the same try that is still on its way may yet be accepted.
                continue
            if found is None:
                raise Violation(f"{put.tag} was acknowledged and is lost")
            assert outcome.position is not None, "an answer from the log says where"
            if tuple(outcome.position) != found.place:
                raise Violation(f"{put.tag} was acknowledged at {outcome.position}, and is at {found.place}")
            if outcome.entry != found.entry:
                raise Violation(f"{put.tag} got two answers")
        accepted = bool(put.answers) and put.answers[0].entry is not None
        if found is not None and found.events and accepted and put.answered_ms is not None and put.marks is None:
            number = found.events[0]["number"]
            assert isinstance(number, int), "the toy numbers its items"
            numbers[put.register].append((put.started_ms, put.answered_ms, number))
    _check_order(numbers)
    _check_reads(numbers, clients)
    _check_marks(numbers, clients)


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
    expected = {key: version for key, version in Model.of(world.journal.records).documents() if key.kind != "answer"}
    for key, version in expected.items():
        known, live = node.owner.peek(key)
        stored = world.store.documents.get(key)
        in_store = decode(domain.documents, key, stored.data) if stored is not None and stored.data else None
        if known and live != version.value:
            raise Violation(f"{key}: live is {live}, the log says {version.value}")
        if in_store != version.value:
            raise Violation(f"{key}: the store has {in_store}, the log says {version.value}")
    extra = {k for k, s in world.store.documents.items() if s.data and k.kind != "answer"} - set(expected)
    if extra:
        raise Violation(f"the store has what the log does not: {extra}")
