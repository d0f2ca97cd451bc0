"""Has changes of leases journaled: one task a partition, for as long as this process has it.

It begins where the documents are: whoever they say is online gets time to be renewed. A partition takes leases only
from then on, and until it is given up or lost: leases are renewed at its next owner, who begins in the same way. What
cannot be journaled now is tried again until it is, or is no longer true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar.sourcing.journal.v1.journal_pb2 import Actor
from chapar_presence.domain.documents import ONLINE, OnlineMark
from chapar_presence.leases import Change, Leases
from chapar_sourcing.host import ReadFunction, T
from chapar_sourcing.hosting import Request
from chapar_sourcing.owner import Outcome
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.view import View

RESTART_LEASE_MS = 6_000
"""How long the gateways have after a restart to renew the leases they hold."""
DEADLINE_MS = 5_000
"""How long one announcement or one read may take before it is tried again."""
RETRY_MS = 200
PAGE = 1_000


class Host(Protocol):
    """What this needs of the engine's host."""

    @property
    def now_ms(self) -> int:
        """The owner's clock."""

    @property
    def partitions(self) -> int:
        """How many partitions there are."""

    async def submit(self, partition: int, request: Request) -> Outcome:
        """Has a command decided."""

    async def read(self, partition: int, read: ReadFunction[T], *, deadline_ms: int) -> T:
        """Runs a read on a view."""


@dataclass(slots=True)
class Board:
    """The leases of one partition, and a bell for the one who announces them."""

    leases: Leases
    bell: asyncio.Event = field(default_factory=asyncio.Event)


Boards = dict[int, Board]
"""Of the partitions that this process has; a partition is missing until its documents were read."""


class Announcer:
    """Keeps the boards of partitions, each by a call of `keep` of its own."""

    def __init__(
        self, boards: Boards, host: Host, *, grace_ms: int, randomness: Callable[[int], bytes], log: Any,
        restart_lease_ms: int = RESTART_LEASE_MS,
    ) -> None:  # fmt: skip
        self._boards = boards
        self._host = host
        self._grace_ms = grace_ms
        self._randomness = randomness
        self._log = log
        self._restart_lease_ms = restart_lease_ms

    async def keep(self, partition: int) -> None:
        """Takes leases of a partition and has their changes journaled, until it is cancelled."""
        board = Board(await self._recovered(partition))
        self._boards[partition] = board
        try:
            while True:
                board.bell.clear()
                changes = board.leases.changes(self._host.now_ms)
                if not changes:
                    await self._wait(board)
                elif not await self._announce(partition, board, changes):
                    await asyncio.sleep(RETRY_MS / 1000)
        finally:
            # Another life of the partition may have begun here already.
            if self._boards.get(partition) is board:
                del self._boards[partition]

    async def _recovered(self, partition: int) -> Leases:
        """Leases as the documents have them, once the partition is owned here and can be read."""
        leases = Leases()
        while True:
            now_ms = self._host.now_ms
            try:
                online = await self._host.read(partition, _online, deadline_ms=now_ms + DEADLINE_MS)
            except (EngineRefused, Unavailable, TimeoutError):
                await asyncio.sleep(RETRY_MS / 1000)
                continue
            leases.recover(online, self._restart_lease_ms, self._host.now_ms)
            return leases

    async def _wait(self, board: Board) -> None:
        """Until somebody rings or time alone may have changed something."""
        next_ms = board.leases.next_ms()
        seconds = None if next_ms is None else max(0.0, (next_ms - self._host.now_ms) / 1000)
        try:
            async with asyncio.timeout(seconds):
                await board.bell.wait()
        except TimeoutError:
            return

    async def _announce(self, partition: int, board: Board, changes: Sequence[Change]) -> bool:
        """Has changes journaled, all at once; whether all were."""
        outcomes = await asyncio.gather(*(self._submit(partition, change) for change in changes))
        for change, reason in zip(changes, outcomes, strict=True):
            if not reason:
                board.leases.confirm(change, self._host.now_ms)
        refused = [reason for reason in outcomes if reason]
        if refused:
            self._log.warning("presence_not_announced", partition=partition, users=len(refused), reason=refused[0])
        return not refused

    async def _submit(self, partition: int, change: Change) -> str:
        """The reason why a change was not journaled; empty when it was."""
        now_ms = self._host.now_ms
        request = Request(
            actor=Actor(system="presence"),
            request_id=make_request_id(now_ms, self._randomness(10)),
            content_hash=b"",
            content_key_id="",
            body=self._command(change),
            deadline_ms=now_ms + DEADLINE_MS,
        )
        try:
            outcome = await self._host.submit(partition, request)
        except EngineRefused as refused:
            return refused.reason
        return outcome.reason

    def _command(self, change: Change) -> journal.Command:
        if change.present:
            return journal.Command(come_online=journal.ComeOnline(user_id=change.user_id))
        seen_ms = change.last_seen_ms
        depart = journal.Depart(
            user_id=change.user_id, last_seen_time_ms=seen_ms, offline_time_ms=seen_ms + self._grace_ms
        )
        return journal.Command(depart=depart)


async def _online(view: View) -> list[str]:
    """Everybody whom the documents of a partition say is online; without those who are departing: for them a timer
    waits."""
    found: list[str] = []
    after = ""
    while True:
        page = await view.scan(ONLINE, "", after=after, limit=PAGE)
        found.extend(key.id for key, mark in page if isinstance(mark, OnlineMark) and not mark.departing)
        if len(page) < PAGE:
            return found
        after = page[-1][0].id
