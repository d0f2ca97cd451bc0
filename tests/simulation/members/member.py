"""One process that is a member among others: nobody tells it what to own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import OFF_MS_MAX
from chapar_sourcing.members import PlacementRefused
from chapar_sourcing.ports import Appended
from tests.simulation.members.logs import Landed, LoggedMembers
from tests.simulation.path.journal import PathJournal
from tests.simulation.path.line import Line
from tests.simulation.path.process import Process, Service

if TYPE_CHECKING:
    from tests.simulation.members.law import Law
    from tests.simulation.members.stage import MembersStage

BEAT_MS = 300
DRAIN_MS_MAX = 10_000
RELEASE_MS_MAX = 4_000
TICK_MS = 100


class Member(Process):
    """From its start to its crash or end."""

    end_seconds_max = DRAIN_MS_MAX / 1000 + 1.5

    def __init__(self, stage: MembersStage, name: str, service: Service, life: int, **config: Any) -> None:
        self._gathering = stage.gathering
        self._law: Law = stage.law
        super().__init__(
            stage.world, name, service, None, stage.topics, stage.gathering, life=f"~{life}",
            beat_interval_ms=BEAT_MS, drain_ms_max=DRAIN_MS_MAX, release_ms_max=RELEASE_MS_MAX, **config,
        )  # fmt: skip

    def _member(self, line: Line) -> LoggedMembers:
        landed = Landed(
            beat=lambda beat, sent: self._law.beaten(self, beat, sent),
            word=lambda word: self._law.said(self, word),
            words_away=self._words_away,
        )
        return LoggedMembers(self._gathering, line, self.service.name, self.name, landed)

    def _journal(self, line: Line) -> PathJournal:
        return _Claimed(self, line, self._law)

    def _words_away(self) -> None:
        self.world.faults.fired["words_away"] += 1

    @property
    def gone(self) -> bool:
        """Whether it is dead, or has ended."""
        return self.ended or self.loop.dead

    @property
    def awake(self) -> bool:
        """Whether it runs now."""
        return not (self.gone or self.loop.paused)

    @property
    def confirmed(self) -> Sequence[int]:
        """Partitions of which it would answer reads by its heartbeat now."""
        return [shell.partition for shell in self.shells if self.awake and shell.confirmed_by_heartbeat]

    @property
    def owning(self) -> Sequence[int]:
        """Partitions that decide here and are not given up."""
        return [] if self.gone else [n for n, held in self.host._partitions.items() if held.shell.owning]

    def clock_jumps(self, by_ms: int, seconds: float) -> None:
        """Somebody sets its clock wrong, and right again later."""
        self.world.note(f"{self.name} is {by_ms} ms off for {seconds:.1f} s")
        self.clock.jumped_ms = by_ms

        def right() -> None:
            self.clock.jumped_ms = 0

        self.world.after(seconds, right)

    @property
    def clock_is_lost(self) -> bool:
        """Whether its clock was wrong before the log told it better: it decides nothing until it is started anew."""
        clock = self.host._owner_clock
        return clock.off_ms != 0 or (clock._ahead_ms is None and abs(clock.now_ms() - self.world.now_ms) > OFF_MS_MAX)

    async def place(self, partition: int, address: str) -> str:
        """An operator tells it where a partition belongs; says why not."""
        try:
            await self.host.place(partition, address, reason="a reason")
        except PlacementRefused as refused:
            return str(refused)
        return ""


class _Claimed(PathJournal):
    """Tells the law of each claim that is sent."""

    def __init__(self, member: Member, line: Line, law: Law) -> None:
        super().__init__(member.service.log, line)
        self._member = member
        self._law = law

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Sends a record on its way."""
        record = journal.Record.FromString(data)
        if record.HasField("claim"):
            self._law.claim_sent(self._member, record.claim.writer)
        return await super().append(partition, data, fresh_producer=fresh_producer)
