"""Which calls are recorded, what strangers can do about it, and what a span says."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from chapar_chassis.telemetry import make_logger
from chapar_chassis.tracing import (
    EdgeSampler,
    PeerSampler,
    Sampler,
    Tracing,
    current_span,
    current_trace_parent,
    rpc_step,
    sampled_parent,
    within,
)
from chapar_sourcing.tracing import APPEND, StepKind

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
TOKEN = "peer-token"
METHOD = "/toy.v1.CounterService/Add"

NOT_FOLLOWED = [
    "",
    "nonsense",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{SPAN}-00",
    f"00-{TRACE}-{SPAN}-02",
    f"01-{TRACE}-{SPAN}-01",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01-more",
    f"00-{TRACE}-{SPAN}-1",
    f" {PARENT}",
    f"{PARENT}\n",
    "۰۰" + PARENT[2:],
    PARENT.encode(),
    PARENT * 1_000,
]


class Called:
    """A call as a sampler sees it; `looked` counts how often it was looked at."""

    def __init__(self, *metadata: tuple[str, Any]) -> None:
        self._metadata = metadata
        self.looked = 0

    def invocation_metadata(self) -> Any:
        self.looked += 1
        return self._metadata


def never() -> float:
    return 1 - 2**-53


def always() -> float:
    return 0.0


def recording(sampler: Sampler | None = None) -> tuple[Tracing, InMemorySpanExporter]:
    """Traces, and what was exported of them."""
    exporter = InMemorySpanExporter()
    return Tracing("toy", sampler, SimpleSpanProcessor(exporter)), exporter


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def served(tracing: Tracing, *metadata: tuple[str, Any]) -> str:
    """The trace parent within a call; "" where it is not recorded."""
    span = tracing.call(METHOD, Called(*metadata))
    if span is None:
        return ""
    with within(span):
        inside = current_trace_parent()
    span.end_call("OK")
    return inside


@pytest.mark.parametrize("trace_parent", NOT_FOLLOWED)
def test_only_a_sampled_parent_of_version_00_is_one(trace_parent: object) -> None:
    assert sampled_parent(trace_parent) is None
    tracing, _ = recording(PeerSampler(TOKEN))
    assert served(tracing, ("traceparent", trace_parent), ("chapar-peer-token", TOKEN)) == ""


def test_a_parent_is_read_as_it_stands() -> None:
    parent = sampled_parent(PARENT)
    assert parent is not None
    assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}", parent.trace_flags) == (TRACE, SPAN, 1)
    assert sampled_parent(PARENT[:-2] + "03") is not None, "other flags mean nothing here"


def test_at_the_edge_the_lot_falls_before_the_call_is_looked_at() -> None:
    call = Called(("traceparent", PARENT))
    assert EdgeSampler(999, never).decide(call) is None
    assert call.looked == 0


def test_strangers_cannot_make_their_calls_recorded() -> None:
    tracing, exporter = recording(EdgeSampler(10, random.Random(1).random))
    kept = [served(tracing, ("traceparent", PARENT)) for _ in range(10_000)]
    assert 60 <= len(list(filter(None, kept))) <= 140, "one of a hundred, whatever they ask for"
    assert len(exporter.get_finished_spans()) == len(list(filter(None, kept)))


@pytest.mark.parametrize(
    ("per_mille", "chance", "recorded"), [(0, always, False), (1, always, True), (1_000, never, True)]
)
def test_none_and_all_mean_that(per_mille: int, chance: Any, recorded: bool) -> None:
    tracing, _ = recording(EdgeSampler(per_mille, chance))
    assert bool(served(tracing)) is recorded


def test_a_recorded_call_goes_on_with_its_clients_trace() -> None:
    tracing, exporter = recording(EdgeSampler(1_000))
    inside = served(tracing, ("traceparent", PARENT))
    span = only(exporter)
    assert span.parent is not None
    assert (span.name, span.kind, span.resource.attributes["service.name"]) == (
        "toy.v1.CounterService/Add", SpanKind.SERVER, "chapar-toy",
    )  # fmt: skip
    assert (inside[3:35], f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert inside == f"00-{TRACE}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("trace_parent", NOT_FOLLOWED)
def test_a_recorded_call_without_a_good_parent_begins_a_trace_of_its_own(trace_parent: object) -> None:
    tracing, exporter = recording(EdgeSampler(1_000))
    inside = served(tracing, ("traceparent", trace_parent), ("tracestate", "x=planted"), ("baggage", "x=planted"))
    assert only(exporter).parent is None
    assert inside[3:35] != TRACE
    assert "planted" not in only(exporter).to_json()


def test_owners_go_on_with_peers_and_begin_nothing() -> None:
    tracing, exporter = recording(PeerSampler(TOKEN))
    assert served(tracing, ("chapar-peer-token", TOKEN)) == ""
    assert served(tracing, ("chapar-peer-token", TOKEN), ("traceparent", PARENT))[3:35] == TRACE
    assert only(exporter).parent is not None


@pytest.mark.parametrize("shown", [(), (("chapar-peer-token", "another"),), (("chapar-peer-token", b"\xff"),)])
def test_whoever_is_no_peer_is_not_traced(shown: tuple[tuple[str, Any], ...]) -> None:
    tracing, exporter = recording(PeerSampler(TOKEN))
    assert served(tracing, ("traceparent", PARENT), *shown) == ""
    assert exporter.get_finished_spans() == ()


def test_a_process_without_a_collector_records_nothing() -> None:
    tracing = Tracing("toy", EdgeSampler(1_000))
    call = Called(("traceparent", PARENT))
    assert tracing.call(METHOD, call) is None
    assert call.looked == 0
    assert tracing.begin(APPEND, PARENT) is None
    tracing.close()


def test_a_step_stands_below_its_parent_and_says_when_it_was() -> None:
    tracing, exporter = recording()
    span = tracing.begin(APPEND, PARENT, began_ns=1_000, partition=3, offset=7)
    assert span is not None
    span.end(ended_ns=5_000, entries=2)
    told = only(exporter)
    assert told.parent is not None
    assert (f"{told.context.trace_id:032x}", f"{told.parent.span_id:016x}") == (TRACE, SPAN)
    assert (told.start_time, told.end_time) == (1_000, 5_000)
    assert told.attributes == {"chapar.partition": 3, "chapar.offset": 7, "chapar.entries": 2}
    assert span.trace_parent == f"00-{TRACE}-{told.context.span_id:016x}-01"


def test_a_step_says_nothing_that_is_not_in_its_catalogue() -> None:
    tracing, _ = recording()
    with pytest.raises(KeyError, match="phone"):
        tracing.begin(APPEND, PARENT, phone="+989121234567")
    span = tracing.begin(APPEND, PARENT)
    assert span is not None
    with pytest.raises(KeyError, match="text"):
        span.end(text="swordfish")


@pytest.mark.parametrize(
    ("code", "fault"), [("OK", False), ("PERMISSION_DENIED", False), ("RESOURCE_EXHAUSTED", False), ("UNKNOWN", True),
                        ("UNAVAILABLE", True), ("DEADLINE_EXCEEDED", True), ("INTERNAL", True)],
)  # fmt: skip
def test_a_calls_span_ends_with_its_status_and_no_text(code: str, fault: bool) -> None:
    tracing, exporter = recording(EdgeSampler(1_000))
    span = tracing.call(METHOD, Called())
    assert span is not None
    span.end_call(code)
    told = only(exporter)
    assert told.attributes == {"chapar.status": code}
    assert (told.status.status_code, told.status.description) == (StatusCode.ERROR if fault else StatusCode.UNSET, None)
    assert told.events == ()


def test_the_current_span_is_that_of_the_call_and_in_its_log_lines() -> None:
    tracing, exporter = recording(EdgeSampler(1_000))
    span = tracing.call(METHOD, Called(("traceparent", PARENT)))
    assert span is not None
    output = io.StringIO()
    log = make_logger("toy", "info", output)
    with within(span):
        assert current_span() is span
        log.info("inside")
        below = span.begin(rpc_step("/toy.v1.OtherService/Do", StepKind.CALL), partition=4)
        below.end()
    log.info("outside")
    inside, outside = map(json.loads, output.getvalue().splitlines())
    assert (inside["trace_id"], "trace_id" in outside, current_trace_parent()) == (TRACE, False, "")
    told = only(exporter)
    assert told.parent is not None
    assert (told.kind, f"{told.parent.span_id:016x}") == (SpanKind.CLIENT, span.trace_parent[36:52])
    assert not get_current_span().get_span_context().is_valid, "nothing of ours is in the library's own context"
