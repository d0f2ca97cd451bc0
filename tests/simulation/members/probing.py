"""Somebody who asks each partition's owner something over and over, as clients find it: by owners' words alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from chapar_sourcing.domain import Key
from tests.simulation.playing import Violation

if TYPE_CHECKING:
    from tests.simulation.members.member import Member
    from tests.simulation.members.stage import MembersStage
    from tests.simulation.path.process import Service

ASKS_SECONDS = 0.1
DEADLINE_MS = 1_000


class Prober:
    """Asks from now on; `longest` is how long a partition went without an answer at most."""

    def __init__(self, stage: MembersStage) -> None:
        self._stage = stage
        self._answered = {(s.name, n): stage.world.now for s in stage.services for n in range(s.partitions)}
        self.longest = 0.0
        self._asking = True
        self._ask_all()

    def stop(self, seconds_max: float) -> None:
        """Asks no more. Raises `Violation` where somebody went without an answer for longer than that."""
        self._asking = False
        if self.longest > seconds_max:
            raise Violation(f"while partitions were handed over one gave no answer for {self.longest:.3f} s")

    def _ask_all(self) -> None:
        if not self._asking:
            return
        for service in self._stage.services:
            for partition in range(service.partitions):
                self._ask(service, partition)
        self._stage.world.after(ASKS_SECONDS, self._ask_all)

    def _ask(self, service: Service, partition: int) -> None:
        row = self._stage.gathering.owners[service.name].get(partition)
        found = [m for m in self._stage.members(service) if row is not None and m.name == row.answers_at]
        for member in found:
            answered = partial(self._told, (service.name, partition), self._stage.world.now)
            member.serve(partial(_looked, member, partition), answered)

    def _told(self, where: tuple[str, int], asked: float, answer: object) -> None:
        """Only what was asked counts, not when that was answered: a read that waits for an owner is answered late."""
        self._longest(where)
        if answer is None:
            self._answered[where] = max(asked, self._answered[where])

    def _longest(self, where: tuple[str, int]) -> None:
        self.longest = max(self.longest, self._stage.world.now - self._answered[where])


async def _looked(member: Member, partition: int) -> None:
    async def look(view: Any) -> None:
        await view.get(Key("anything", "at all"))

    await member.host.read(partition, look, deadline_ms=member.host.now_ms + DEADLINE_MS)
