"""The stage of a run among members: who starts and who ends, what befalls members and their logs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import cast

from chapar_sourcing.recent import BLOCKS_MAX, RecentBounds
from tests.simulation.members.law import Law
from tests.simulation.members.logs import Gathering, MemberLogs
from tests.simulation.members.member import Member
from tests.simulation.members.silence import LONG_SECONDS, Outage
from tests.simulation.path.process import Process, Service
from tests.simulation.path.stage import PAUSES, Stage
from tests.simulation.path.world import World

MEMBERS = (2, 3)
"""How many members a service begins with."""
MEMBERS_MAX = 4
COMES_BACK_SECONDS = (0.05, 3.0)
OUTAGE_SHORT = (0.2, 0.9)
OUTAGE_LONG = (LONG_SECONDS + 0.2, 5.0)
OUTAGES_APART_SECONDS = 10.0
CLOCK_OFF_SECONDS = (1.0, 12.0)
CLOCK_OFF_MS = (-3_600_000, 3_600_000, 5_000)


class MembersStage(Stage):
    """Everything of one run."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        logs = {service.name: MemberLogs() for service in self.services}
        self.gathering = self.directory = Gathering(world, logs=logs)
        self.law = Law(world, self.gathering)
        self._lives = itertools.count(1)

    # ---- processes

    def members(self, service: Service) -> list[Member]:
        """Those that run now, zombies included."""
        return cast(list[Member], service.processes)

    def join(self, service: Service, name: str = "") -> Member:
        """One more member: at a new address, or at one where another has ended."""
        draw, life = self.random, next(self._lives)
        recent = RecentBounds(
            blocks_max=BLOCKS_MAX, ring_frames_max=draw.choice((1, 3, 256)),
            queue_frames_max=draw.choice((1, 3, 256)), idle_keys_max=draw.choice((0, 1, 10_000)),
            row_keys_max=draw.choice((1, 4_000)),
        )  # fmt: skip
        return Member(
            self, name or f"{service.name}-{life}", service, life, recent=recent,
            projection_documents_max=draw.choice((2, 2_000)), projection_linger_ms=draw.choice((5, 100, 600)),
            ahead_documents_max=draw.choice((0, 1, 2, 200)),
        )  # fmt: skip

    def _comes_back(self, service: Service, name: str) -> None:
        """Somebody answers at this address again, if nobody does yet."""
        if len(service.processes) < MEMBERS_MAX and all(p.name != name for p in service.processes):
            self.join(service, name)

    def disturb(self, service: Service) -> None:
        """What befalls a service in a moment."""
        happens, draw = self.world.faults.happens, self.random
        members = self.members(service)
        for member in members:
            self._check_alarms(member)
        awake = [m for m in members if m.awake and not m.draining]
        if members and happens("crash"):
            self._ends(draw.choice(members), Process.crash)
        if awake and happens("pause"):
            draw.choice(awake).pause(draw.choice(PAUSES))
        if awake and happens("cut_off"):
            self._cut_off(draw.choice(awake), draw.uniform(0.2, 1.5) if happens("slow_before_cut_off") else 0.0)
        if awake and happens("drain"):
            self._ends(draw.choice(awake), Process.drain)
        if awake and happens("placed"):
            self._place(service, draw.choice(awake))
        if awake and happens("clock_jumps"):
            draw.choice(awake).clock_jumps(draw.choice(CLOCK_OFF_MS), draw.uniform(*CLOCK_OFF_SECONDS))
        if happens("journal_loses_flight"):
            service.log.lose_flight()
        if happens("store_fails_over"):
            service.servers.fail_over()
        self._disturb_logs(service)
        if len(members) < MEMBERS_MAX and (happens("joins") or len(members) < 2):
            self.join(service)

    def _ends(self, member: Member, how: partial[None] | object) -> None:
        how(member)  # type: ignore[operator]
        if self.world.faults.happens("comes_back"):
            back = partial(self._comes_back, member.service, member.name)
            self.world.soon(*COMES_BACK_SECONDS, back, self.random)

    def _place(self, service: Service, told: Member) -> None:
        partition = self.random.randrange(service.partitions)
        address = self.random.choice(["", *(member.name for member in self.members(service))])
        told.serve(lambda: told.place(partition, address), lambda answer: None)

    def _disturb_logs(self, service: Service) -> None:
        happens, draw, now = self.world.faults.happens, self.random, self.world.now
        logs = self.gathering.logs[service.name]
        if now > max(logs.beats_back, logs.words_back) + OUTAGES_APART_SECONDS:
            if happens("members_outage"):
                logs.beats_back = now + draw.uniform(*draw.choice((OUTAGE_SHORT, OUTAGE_LONG)))
                logs.outages.append(Outage(now, logs.beats_back))
                self.world.note(f"{service.name}: members are away until {logs.beats_back:.3f}")
            if happens("owners_outage"):
                logs.words_back = now + draw.uniform(*OUTAGE_LONG)
                self.world.note(f"{service.name}: owners are away until {logs.words_back:.3f}")
        if happens("owners_compacted"):
            logs.compact(now)

    # ---- what is judged

    def _claimed(self, service: Service, partition: int, address: str) -> None:
        chain = self.books[service.name].chains[partition]
        self.law.claimed(service.name, partition, chain.epoch, chain.writer)
        super()._claimed(service, partition, address)

    def read_answered(self, target: Process, partition: int) -> None:
        """The answer of a query leaves."""
        if target.service.read_policy == "heartbeat":
            self.law.answered(cast(Member, target), partition)

    def owners(self, service: Service) -> list[Member | None]:
        """Who owns each partition: the one process that says so, whom the log and all members name; None where that is
        not so."""
        return [self._owner(service, partition) for partition in range(service.partitions)]

    def _owner(self, service: Service, partition: int) -> Member | None:
        owning = [member for member in self.members(service) if partition in member.owning]
        tenant = self.law.tenants.get((service.name, partition))
        if len(owning) != 1 or tenant is None or tenant.member is not owning[0]:
            return None
        rows = [member.host.owners.get(partition) for member in self.members(service)]
        agreed = all(r is not None and not r.released and (r.address, r.epoch) == (owning[0].name, tenant.epoch)
                     for r in rows)  # fmt: skip
        return owning[0] if agreed else None

    @property
    def gathered(self) -> bool:
        """Whether all members of a service have heard of each other."""
        for service in self.services:
            names = {member.name for member in self.members(service)}
            if any(names - {seen.address for seen in m.host.members if seen.alive} for m in self.members(service)):
                return False
        return True

    def voids(self, service: Service) -> int:
        """Records of a service's log that count for nothing."""
        return sum(chain.voids for chain in self.books[service.name].chains)

    def unowned(self, services: Sequence[Service]) -> list[str]:
        """Partitions of which it is not clear who owns them."""
        return [
            f"{service.name}/{partition}"
            for service in services
            for partition, owner in enumerate(self.owners(service))
            if owner is None
        ]
