"""One lane: what it sends together, what it sends again and when, and that each item is done with once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.lanes import ADVANCES_MAX, SUBMIT_COMMANDS_MAX, ChainBroken, Item, Lane
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.refusing import NOT_OWNER, EngineRefused

from .rig import Impatient, eventually


class Ends:
    """The target: answers as it is told to, then accepts everything; keeps what it was sent, call by call."""

    def __init__(self, *answers: Sequence[str] | Exception) -> None:
        self._answers = list(answers)
        self.calls: list[list[str]] = []

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        self.calls.append([command.source for command in commands])
        answer = self._answers.pop(0) if self._answers else [""] * len(commands)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        self.calls.append([advance.row for advance in advances])
        answer = self._answers.pop(0) if self._answers else ""
        if isinstance(answer, Exception):
            raise answer


class Sent:
    """A lane to a target, with items in it."""

    def __init__(self, ends: Ends, *parcels: peer.SubmittedCommand | peer.Advance) -> None:
        self.clock, self.measures, self.done = Impatient(), HeldMeasures(), list[str]()
        self.lane = Lane(name="reactor/x", target=3, targets=ends, clock=self.clock, measures=self.measures)
        self.ends, self._parcels = ends, len(parcels)
        for parcel in parcels:
            name = parcel.source if isinstance(parcel, peer.SubmittedCommand) else parcel.row
            self.lane.put(Item(parcel, lambda name=name: self.done.append(name)))  # type: ignore[misc]

    async def through(self) -> None:
        """Runs until everything has arrived."""
        running = asyncio.create_task(self.lane.run())
        try:
            await eventually(lambda: len(self.done) == self._parcels)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def command(name: str) -> peer.SubmittedCommand:
    return peer.SubmittedCommand(source=name)


def row(name: str) -> peer.Advance:
    return peer.Advance(row=name)


async def test_one_call_has_one_kind_and_so_many_at_most() -> None:
    commands = [f"c{n}" for n in range(SUBMIT_COMMANDS_MAX + 1)]
    rows = [f"r{n}" for n in range(ADVANCES_MAX + 1)]
    sent = Sent(Ends(), *map(command, commands), *map(row, rows), command("last"))
    await sent.through()
    assert sent.ends.calls == [commands[:-1], commands[-1:], rows[:-1], rows[-1:], ["last"]]
    assert sent.done == [*commands, *rows, "last"]


async def test_what_is_put_while_the_lane_rests_is_sent() -> None:
    sent = Sent(Ends(), command("a"))
    await sent.through()
    running = asyncio.create_task(sent.lane.run())
    await asyncio.sleep(0)
    sent.lane.put(Item(command("b"), lambda: sent.done.append("b")))
    await eventually(lambda: sent.done == ["a", "b"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_first_that_was_not_decided_is_sent_again_with_all_behind_it() -> None:
    sent = Sent(Ends(["", NOT_OWNER, NOT_OWNER]), *map(command, "abc"))
    await sent.through()
    assert sent.ends.calls == [["a", "b", "c"], ["b", "c"]]
    assert sent.done == ["a", "b", "c"]
    assert sent.measures.counters["reactor_retries"] == 1


@pytest.mark.parametrize("parcel", [command("a"), row("a")])
async def test_it_waits_ever_longer_and_not_too_long_and_begins_anew_once_something_arrived(
    parcel: peer.SubmittedCommand | peer.Advance,
) -> None:
    away = [Unavailable("away"), EngineRefused(NOT_OWNER)] * 4
    ends = Ends(*away, [""], Unavailable("away"))
    sent = Sent(ends, parcel, command("b") if isinstance(parcel, peer.Advance) else row("b"))
    await sent.through()
    assert sent.clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 0.05]
    assert sent.done == ["a", "b"]


async def test_a_refusal_for_good_is_passed_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    sent = Sent(Ends(["REASON_NO", ""]), *map(command, "ab"))
    await sent.through()
    assert sent.done == ["a", "b"]
    assert [message for message in caplog.messages if "REASON_NO" in message] == caplog.messages != []
    assert (sent.measures.counters["reactor_refusals"], sent.measures.counters["reactor_retries"]) == (1, 0)


@pytest.mark.parametrize("parcel", [command("a"), row("a")])
async def test_a_fault_of_the_target_is_counted_said_with_its_trace_and_waited_for(
    parcel: peer.SubmittedCommand | peer.Advance, caplog: pytest.LogCaptureFixture
) -> None:
    fault = ZeroDivisionError("a bug")
    sent = Sent(Ends(fault, fault), parcel)
    await sent.through()
    assert sent.ends.calls == [["a"]] * 3
    assert sent.clock.slept == [0.05, 0.1]
    assert sent.measures.counters["reactor_failures"] == 2
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [fault, fault]


async def test_a_hole_breaks_the_chain_and_nothing_is_done_with() -> None:
    sent = Sent(Ends(["", HOLE_REASON]), *map(command, "ab"))
    with pytest.raises(ChainBroken):
        await sent.lane.run()
    assert not sent.done
    assert sent.measures.counters["reactor_holes"] == 1
