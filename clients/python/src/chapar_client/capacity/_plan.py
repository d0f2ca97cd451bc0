"""Multiplies what people do by what it costs. Pure: no file, no clock.

Cores are those of the busiest second at 60 % utilisation; disk and memory are what is there in the end. Each item says
what it rests on. Ranges are added end by end: that everything is at its dearest at once is the far end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from chapar_client.capacity._measured import Unit
from chapar_client.capacity._sizes import Given, Load

UTILISATION = 0.6
"""Of cores, in the busiest second; of disks, in the end."""

Part: TypeAlias = Literal["cores", "memory", "disk"]


@dataclass(frozen=True, slots=True)
class Range:
    """From the least to the most."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Both ends."""
        return Range(self.low * factor, self.high * factor)

    def plus(self, other: Range) -> Range:
        """End by end."""
        return Range(self.low + other.low, self.high + other.high)


@dataclass(frozen=True, slots=True)
class Item:
    """One line: cores, or bytes."""

    part: Part
    what: str
    range: Range
    rests_on: str
    """Names of measured units, or the option that was given."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What is left out, since nobody has measured it."""

    part: Part
    what: str
    option: str
    """By which to give it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything."""

    load: Load
    given: Given
    items: Sequence[Item]
    missing: Sequence[Missing]
    processes: Range
    brokers: Range
    totals: Mapping[Part, Range] = field(default_factory=dict)


def plan(load: Load, given: Given, units: Mapping[str, Unit]) -> Plan:
    """What it takes, and what could not be reckoned."""
    items: list[Item] = []
    missing: list[Missing] = []
    for one in (*_cores(load, given, units), *_memory(load, given, units), *_disk(load, units)):
        (items if isinstance(one, Item) else missing).append(one)  # type: ignore[arg-type]
    processes = _processes(items)
    items.append(_idle(processes, units))
    memory = units["process_bytes"]
    held = Range(processes.low * memory.low, processes.high * memory.high)
    items.append(Item("memory", "processes with nothing to do", held, memory.name))
    totals: dict[Part, Range] = {}
    for part in ("cores", "memory", "disk"):
        total = Range(0, 0)
        for item in items:
            total = total.plus(item.range) if item.part == part else total
        totals[part] = total
    return Plan(load, given, items, missing, processes, _brokers(items, load, given), totals)


# ---- cores

_BROKERS = "brokers: messages"
_JOURNALS = "journals"


def _cores(load: Load, given: Given, units: Mapping[str, Unit]) -> Iterator[Item | Missing]:
    messages = load.messages_s
    yield _busy("gateways: messages, both acknowledgements", units["gateway_ms"], messages)
    yield _busy("messaging", units["messaging_ms"], messages)
    yield _busy("identity, presence and payments beside messages", units["others_ms"], messages)
    yield _busy("payments, gateways included", units["payment_ms"], load.payments_s)
    one_copy = _busy("", units["broker_ms"], messages).range
    # What a further copy costs was not measured: nothing at the near end, as much as the first one at the far end.
    copied = Range(one_copy.low, one_copy.high * load.copies)
    yield Item("cores", f"{_BROKERS}, {load.copies} copies", copied, units["broker_ms"].name)
    more = messages * (given.deliveries - 2)
    if more or given.delivery_ms is not None:
        yield _given("acknowledgements and deliveries beyond two", given.delivery_ms, more, "--delivery-ms")
    yield _given("TLS at gateways", given.tls_ms, messages, "--tls-ms")
    yield _given("resume of all sessions", given.resume_ms, load.sessions / given.resume_s, "--resume-ms")
    yield _given("presence", given.presence_ms, load.sessions / 60, "--presence-ms")
    yield _given("database", given.database_ms, messages, "--database-ms")


def _busy(what: str, unit: Unit, per_s: float) -> Item:
    return Item("cores", what, Range(unit.low, unit.high).times(per_s / 1000 / UTILISATION), unit.name)


def _given(what: str, ms: float | None, per_s: float, option: str) -> Item | Missing:
    if ms is None:
        return Missing("cores", what, option)
    cores = ms * per_s / 1000 / UTILISATION
    return Item("cores", what, Range(cores, cores), option)


_NOT_OURS = ("brokers", "database")


def _processes(items: Sequence[Item]) -> Range:
    """One process uses one core at most; there are five at least."""
    ours = Range(0, 0)
    for item in items:
        if item.part == "cores" and not item.what.startswith(_NOT_OURS):
            ours = ours.plus(item.range)
    return Range(max(5, math.ceil(ours.low)), max(5, math.ceil(ours.high)))


def _idle(processes: Range, units: Mapping[str, Unit]) -> Item:
    unit = units["idle_cores"]
    cores = Range(processes.low * unit.low, processes.high * unit.high)
    return Item("cores", "what processes use while nobody writes", cores, unit.name)


# ---- memory, disk, brokers


def _memory(load: Load, given: Given, units: Mapping[str, Unit]) -> Iterator[Item | Missing]:
    if given.hot_documents is None:
        yield Missing("memory", "documents that owners remember", "--hot-documents")
    else:
        unit = units["hot_document_bytes"]
        documents = Range(unit.low, unit.high).times(load.sessions * given.hot_documents)
        yield Item("memory", "documents that owners remember", documents, f"{unit.name}, --hot-documents")
    if given.session_kb is None:
        yield Missing("memory", "sessions at gateways", "--session-kb")
    else:
        held = load.sessions * given.session_kb * 1000
        yield Item("memory", "sessions at gateways", Range(held, held), "--session-kb")


def _disk(load: Load, units: Mapping[str, Unit]) -> Iterator[Item]:
    messages, payments = (
        load.users * each * load.days * load.copies / UTILISATION for each in (load.messages_a_day, load.payments_a_day)
    )
    for what, name, count in (
        (f"{_JOURNALS}: messages", "message_journal_bytes", messages),
        (f"{_JOURNALS}: payments", "payment_journal_bytes", payments),
        ("stores: messages", "message_store_bytes", messages),
        ("stores: payments", "payment_store_bytes", payments),
    ):
        yield Item("disk", what, Range(units[name].low, units[name].high).times(count), name)


def _brokers(items: Sequence[Item], load: Load, given: Given) -> Range:
    """As many as cores, disks and copies ask for, whatever asks for most."""
    cores, disk = Range(0, 0), Range(0, 0)
    for item in items:
        if item.what.startswith(_BROKERS):
            cores = cores.plus(item.range)
        if item.what.startswith(_JOURNALS):
            disk = disk.plus(item.range)

    def brokers(cores_: float, bytes_: float) -> float:
        return max(
            load.copies, math.ceil(cores_ / given.broker_cores), math.ceil(bytes_ / (given.broker_disk_tb * 1e12))
        )

    return Range(brokers(cores.low, disk.low), brokers(cores.high, disk.high))
