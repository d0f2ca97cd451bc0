"""The last step of a trace ends when its frame is written, dropped or left behind, and once."""

from __future__ import annotations

from dataclasses import dataclass, field

from chapar_gateway.deliveries import Deliveries
from chapar_sourcing.tracing import NO_TRACER, Step, Value

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Noted:
    """A span that notes how it ended."""

    trace_parent: str
    outcomes: list[Value] = field(default_factory=list)

    def end(self, *, ended_ns: int | None = None, **attributes: Value) -> None:
        self.outcomes.append(attributes["outcome"])


@dataclass
class Noting:
    """A tracer that keeps its spans."""

    spans: list[Noted] = field(default_factory=list)

    def begin(self, step: Step, trace_parent: str, *, began_ns: int | None = None, **attributes: Value) -> Noted:
        assert (step.name, trace_parent) == ("deliver", PARENT)
        self.spans.append(Noted(trace_parent))
        return self.spans[-1]

    def now_ns(self) -> int:
        return 0

    @property
    def outcomes(self) -> list[list[Value]]:
        return [span.outcomes for span in self.spans]


def test_a_frame_is_delivered_when_it_is_written_and_not_before() -> None:
    tracer = Noting()
    deliveries = Deliveries(tracer)
    deliveries.begin(2, PARENT)
    deliveries.begin(3, PARENT)
    deliveries.written()
    assert tracer.outcomes == [[], []]
    deliveries.written()
    assert tracer.outcomes == [["written"], []]
    deliveries.written()
    deliveries.end()
    assert tracer.outcomes == [["written"], ["written"]]


def test_a_frame_that_was_folded_into_a_gap_is_dropped() -> None:
    tracer = Noting()
    Deliveries(tracer).begin(0, PARENT)
    assert tracer.outcomes == [["dropped"]]


def test_what_nobody_reads_any_more_is_left() -> None:
    tracer = Noting()
    deliveries = Deliveries(tracer)
    deliveries.begin(1, PARENT)
    deliveries.begin(2, PARENT)
    deliveries.written()
    deliveries.end()
    assert tracer.outcomes == [["written"], ["left"]]


def test_without_a_tracer_nothing_waits() -> None:
    deliveries = Deliveries(NO_TRACER)
    for frame in range(1, 1_000):
        deliveries.begin(frame, PARENT)
    assert not deliveries._waiting
