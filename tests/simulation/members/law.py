"""What must hold of who owns, claims and answers, judged from outside: by what landed in the logs, and when.

Flows in: beats, words and claims as they land, reads as they are answered. Flows out: `Violation`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chapar_sourcing.ports import Announcement, Beat
from tests.simulation.members.logs import Gathering
from tests.simulation.members.silence import silence
from tests.simulation.playing import Violation

if TYPE_CHECKING:
    from tests.simulation.members.logs import Word
    from tests.simulation.members.member import Member
    from tests.simulation.path.world import World

LOOKED_AT_SECONDS = 3.0
"""Of a member that is claimed from: for how long before the claim its beats are looked at."""
SILENT_SECONDS = 1.1
"""Somebody who was never silent for longer has expired for nobody: five own beats take four intervals of 0.3 s, of
which a clock that runs fast makes 1.17 s."""
SILENT_OUTAGE_SECONDS = 0.85
"""The same where an outage lay in between, which makes one of the intervals shorter for others."""
FRESH_SECONDS = 1.03
"""How old the beat may be that a read rests on: a second of a clock that runs slow."""
BEATS_KEPT = 200


@dataclass(slots=True)
class Tenant:
    """Who owns a partition by the log."""

    member: Member
    epoch: int
    announced: float | None = None
    """True time at which that could be read."""
    released: bool = False


class Law:
    """The members of all services."""

    def __init__(self, world: World, gathering: Gathering) -> None:
        self._world = world
        self._gathering = gathering
        self._claims: dict[bytes, tuple[Member, float]] = {}
        """Writer -> who has claimed under this name, and when the claim was sent."""
        self._landed: defaultdict[Member, deque[float]] = defaultdict(lambda: deque(maxlen=BEATS_KEPT))
        """True times at which a member's beats landed."""
        self._sent: defaultdict[Member, float] = defaultdict(lambda: float("-inf"))
        """When the youngest of them was sent."""
        self.tenants: dict[tuple[str, int], Tenant] = {}

    # ---- what lands

    def beaten(self, member: Member, beat: Beat, sent: float) -> None:
        """A beat has landed."""
        self._world.faults.fired["unfit"] += beat.unfit
        self._landed[member].append(self._world.now)
        self._sent[member] = max(self._sent[member], sent)

    def said(self, member: Member, word: Word) -> None:
        """An owner's word has landed."""
        self._world.note(f"{member.service.name}: {_told(word)}")
        if not isinstance(word, Announcement):
            return
        self._world.faults.fired["released" if word.released else "announced"] += 1
        tenant = self.tenants.get((member.service.name, word.partition))
        if tenant is None or tenant.member is not member or tenant.epoch != word.epoch:
            return
        tenant.released = tenant.released or word.released
        if tenant.announced is None:
            tenant.announced = self._world.now

    def claim_sent(self, member: Member, writer: bytes) -> None:
        """A claim goes on its way."""
        self._claims[writer] = member, self._world.now

    def claimed(self, service: str, partition: int, epoch: int, writer: bytes) -> None:
        """A valid claim has landed."""
        member, sent = self._claims[writer]
        before = self.tenants.get((service, partition))
        if before is not None and before.member is not member:
            self._judge_claim(f"{service}/{partition}", member, sent, before)
        self.tenants[service, partition] = Tenant(member, epoch)

    def _judge_claim(self, where: str, member: Member, sent: float, before: Tenant) -> None:
        """Nobody claims from who was heard of all the time."""
        since, owner = sent - LOOKED_AT_SECONDS, before.member
        if owner.gone or before.released or before.announced is None or before.announced > since:
            return
        landed = self._landed[owner]
        if not landed or landed[0] > since:
            return
        self._world.faults.fired["judged_claims"] += 1
        outages = self._gathering.logs[owner.service.name].outages
        found = silence(landed, self._landed[member], since, sent, outages)
        if found.seconds < (SILENT_OUTAGE_SECONDS if found.met_outage else SILENT_SECONDS):
            silent = f"which was silent for {found.seconds:.3f} s at most"
            raise Violation(f"{where}: {member.name} claimed from {owner.name}, {silent}")

    # ---- what leaves

    def answered(self, member: Member, partition: int) -> None:
        """A query that a heartbeat confirms is answered: by the owner, as the log has it now, heard of just before."""
        self._world.faults.fired["judged_reads"] += 1
        tenant = self.tenants[member.service.name, partition]
        if tenant.member is not member:
            raise Violation(
                f"{member.name} answers a read of {partition}, which {tenant.member.name} owns by epoch {tenant.epoch}"
            )
        age = self._world.now - self._sent[member]
        if age > FRESH_SECONDS:
            raise Violation(f"{member.name} answers a read by a beat that was sent {age:.3f} s ago")

    def check_confirmed(self, members: list[Member]) -> None:
        """No two members of a service could answer reads of one partition."""
        by_partition: dict[int, Member] = {}
        for member in members:
            for partition in member.confirmed:
                other = by_partition.setdefault(partition, member)
                if other is not member:
                    raise Violation(f"{other.name} and {member.name} would both answer for {partition}")


def _told(word: Word) -> str:
    if not isinstance(word, Announcement):
        return f"{word.partition} is placed at {word.address or 'no place'}"
    released = f" released to {word.successor or 'nobody'}" if word.released else ""
    return f"{word.partition} is of {word.address} by epoch {word.epoch}{released}"
