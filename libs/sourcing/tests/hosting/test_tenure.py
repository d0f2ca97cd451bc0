"""When a partition begins and ends to be decided here, as it is told to the log of the process."""

from __future__ import annotations

from chapar_sourcing.clock import ManualClock
from chapar_sourcing.owner import OwnerPhase, PhaseChanged
from chapar_sourcing.tenure import Tenure, Transition

from .rig import PARTITIONS, World, book_at, eventually, running


class Told:
    """One partition, whose clock and number of records the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock(0)
        self.records = 0
        self.transitions: list[Transition] = []
        self.tenure = Tenure(3, self.clock, lambda: self.records, self.transitions.append)

    def enter(self, *phases: OwnerPhase, epoch: int) -> None:
        for phase in phases:
            self.tenure.enter(PhaseChanged(phase, epoch))

    async def pass_by(self, ms: int, records: int) -> None:
        await self.clock.advance(ms)
        self.records += records


async def test_the_beginning_says_how_long_it_took_and_what_was_read() -> None:
    told = Told()
    told.enter(OwnerPhase.READING, OwnerPhase.CLAIMING, OwnerPhase.SETTLING, epoch=7)
    await told.pass_by(1_500, records=40)
    told.enter(OwnerPhase.OWNING, epoch=8)
    assert told.transitions == [Transition(3, 8, True, "", after_ms=1_500, records=40)]


async def test_the_end_says_why_and_how_long_it_lasted_once() -> None:
    told = Told()
    told.enter(OwnerPhase.OWNING, epoch=8)
    await told.pass_by(60_000, records=2)
    told.enter(OwnerPhase.DEPOSED, epoch=8)
    told.tenure.end("released")
    assert told.transitions[1:] == [Transition(3, 8, False, "deposed", after_ms=60_000, records=2)]


async def test_a_doubt_and_the_claim_after_it_are_an_end_and_a_beginning() -> None:
    told = Told()
    told.enter(OwnerPhase.OWNING, epoch=8)
    await told.pass_by(10, records=0)
    told.enter(OwnerPhase.DOUBTFUL, epoch=8)
    await told.pass_by(300, records=5)
    told.enter(OwnerPhase.CLAIMING, OwnerPhase.OWNING, epoch=9)
    assert [(one.begins, one.epoch, one.reason, one.after_ms, one.records) for one in told.transitions[1:]] == [
        (False, 8, "doubtful", 10, 0),
        (True, 9, "", 300, 5),
    ]


def test_what_never_began_does_not_end() -> None:
    told = Told()
    told.enter(OwnerPhase.READING, OwnerPhase.DEPOSED, epoch=1)
    told.tenure.end("released")
    assert told.transitions == []


async def test_a_process_tells_of_its_partitions_and_another_of_those_that_it_takes_over() -> None:
    world = World()
    first: list[Transition] = []
    async with running(world, on_transition=first.append) as process:
        for number in range(3):
            assert (await process.write(book_at(0), f"note {number}")).reason == ""
        await process.end()
    assert sorted((one.partition, one.epoch) for one in first if one.begins) == [(p, 1) for p in range(PARTITIONS)]
    assert sorted((one.partition, one.reason) for one in first if not one.begins) == [
        (p, "released") for p in range(PARTITIONS)
    ]

    second: list[Transition] = []
    async with running(world, on_transition=second.append) as process:
        await eventually(lambda: len(second) == PARTITIONS)
        begun = {one.partition: one for one in second}
        assert begun[0].epoch == 2
        assert begun[0].records >= begun[1].records >= 1
