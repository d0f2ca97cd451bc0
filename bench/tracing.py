"""What one call's tracing costs by itself, in CPU time of one thread: part of `bench.telemetry`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from chapar_chassis.peers import PEER_TOKEN_KEY, TRACE_KEY
from chapar_chassis.tracing import EdgeSampler, PeerSampler, Sampler, Tracing, within

METHOD = "/chapar.messaging.v1.MessagingService/SendMessage"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOKEN = "x" * 43
ROUNDS, BEST_OF = 5_000, 5


class Encoding(SpanExporter):
    """Does what an exporter does with a span, but for sending it."""

    def export(self, spans: Any) -> SpanExportResult:
        """Encodes them."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


class Call:
    """The metadata of a call, as gRPC hands it out."""

    def __init__(self, *more: tuple[str, str]) -> None:
        self._metadata = (("user-agent", "bench"), (PEER_TOKEN_KEY, TOKEN), ("chapar-key", "u" * 26), *more)

    def invocation_metadata(self) -> Any:
        """As gRPC."""
        return self._metadata


def costs_us() -> Mapping[str, float]:
    """Microseconds of CPU a call, the best of five rounds."""
    traced = Call((TRACE_KEY, PARENT))
    return {
        "gateway, not drawn": _best(EdgeSampler(0), traced),
        "owner, not traced": _best(PeerSampler(TOKEN), Call()),
        "gateway, drawn": _best(EdgeSampler(1_000), traced),
        "owner, traced": _best(PeerSampler(TOKEN), traced),
    }


def _best(sampler: Sampler, call: Call) -> float:
    tracing = Tracing("bench", sampler, SimpleSpanProcessor(Encoding()))

    def served() -> None:
        span = tracing.call(METHOD, call)
        if span is not None:
            with within(span):
                pass
            span.end_call("OK")

    return min(_round_us(served) for _ in range(BEST_OF)) - min(_round_us(_nothing) for _ in range(BEST_OF))


def _round_us(does: Callable[[], None]) -> float:
    began_ns = time.thread_time_ns()
    for _ in range(ROUNDS):
        does()
    return (time.thread_time_ns() - began_ns) / 1_000 / ROUNDS


def _nothing() -> None:
    """A call of a function that does nothing."""
