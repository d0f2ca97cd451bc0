"""Tells metrics how the books stand: each event is checked as it is read, and what left and arrived is added up.

Flows in: events, from the reaction that reads all of them; documents of a partition, all transit accounts once and
later those that events have touched. Flows out: measures. Nothing is decided by them, so reads are not confirmed by an
append: a process that lost a partition keeps telling the last that it saw, which is less than its successor tells.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.accounts import key_of
from chapar_payments.domain.documents import TRANSIT_IN, TRANSIT_OUT, TransitIn, TransitOut
from chapar_payments.domain.invariants import broken_by
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.host import ReadFunction, T
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.view import View

INTERVAL_SECONDS = 5.0
"""How often changed totals are looked at; well below how often metrics are collected."""
RETRY_SECONDS = 1.0
PAGE = 1_000

Touched = defaultdict[int, set[Key]]
"""Transit accounts by partition that events have changed since they were looked at."""


class Host(Protocol):
    """What this needs of the engine's host."""

    async def read_durable(self, partition: int, read: ReadFunction[T]) -> T:
        """Runs a read on a view."""


class Ledger:
    """The books of this process's partitions in numbers."""

    def __init__(self, touched: Touched, measures: Measures) -> None:
        self._touched = touched
        self._measures = measures

    def take(self, partition: int, event: journal.Event) -> None:
        """Takes in an event of a partition's log; the same one may come again. What cannot be told of is counted: money
        goes on its way whatever becomes of numbers about it."""
        try:
            self._take(partition, event)
        except Exception:
            self._measures.count("ledger_looks_failed")

    def _take(self, partition: int, event: journal.Event) -> None:
        for rule in broken_by(event):
            self._measures.count("ledger_violations", rule=rule)
        if event.WhichOneof("kind") in ("transfer_sent", "transfer_received"):
            keys = (key_of(posting.account) for posting in event.postings)
            self._touched[partition].update(key for key in keys if key.kind in (TRANSIT_OUT, TRANSIT_IN))

    async def keep(self, partition: int, host: Host, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """Tells the totals of a partition that this process has, until it is cancelled."""
        totals: dict[Key, int] = {}
        totals.update(await self._patiently(host, partition, _all_transits))
        while True:
            self._tell(partition, totals)
            await asyncio.sleep(interval_seconds)
            if changed := self._touched.pop(partition, set()):
                totals.update(await self._patiently(host, partition, partial(_transits, keys=changed)))

    async def _patiently(self, host: Host, partition: int, read: ReadFunction[dict[Key, int]]) -> dict[Key, int]:
        """Reads again until it can be read: a document that cannot be is the concern of who needs it, and must not end
        the process."""
        while True:
            try:
                return await host.read_durable(partition, read)
            except (EngineRefused, Unavailable):
                pass
            except Exception:
                self._measures.count("ledger_looks_failed")
            await asyncio.sleep(RETRY_SECONDS)

    def _tell(self, partition: int, totals: Mapping[Key, int]) -> None:
        sent = sum(total for key, total in totals.items() if key.kind == TRANSIT_OUT)
        applied = -sum(total for key, total in totals.items() if key.kind == TRANSIT_IN)
        self._measures.gauge("ledger_sent_rials", sent, partition=str(partition))
        self._measures.gauge("ledger_applied_rials", applied, partition=str(partition))


async def _all_transits(view: View) -> dict[Key, int]:
    """The balance of each transit account of a partition, in rials."""
    totals: dict[Key, int] = {}
    for kind in (TRANSIT_OUT, TRANSIT_IN):
        after = ""
        while True:
            page = await view.scan(kind, "", after=after, limit=PAGE)
            totals.update((key, _balance(document)) for key, document in page)
            if len(page) < PAGE:
                break
            after = page[-1][0].id
    return totals


async def _transits(view: View, *, keys: set[Key]) -> dict[Key, int]:
    return {key: _balance(document) for key, document in (await view.get(*keys)).items()}


def _balance(document: Document) -> int:
    return document.balance_rials if isinstance(document, TransitOut | TransitIn) else 0
