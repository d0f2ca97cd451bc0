"""Traces of a process: which calls are recorded, the spans of those, and the step that goes on now.

A sampler decides first, from what a call shows; a call that is not recorded has cost that and nothing else. What is
recorded is OpenTelemetry's SDK's to keep and to send (`exporting`); its instrumentation of gRPC is not used.

    gateway   begins traces: of a share of all calls, drawn before anything of the call is looked at
    owners    go on with those of peers, which prove to be that, and begin none
    engine    goes on with what entries, records, advances and frames name (`chapar_sourcing.tracing`)
"""

from __future__ import annotations

import hmac
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import grpc
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from chapar_chassis.peers import PEER_TOKEN_KEY, TRACE_KEY
from chapar_sourcing.tracing import Step, StepKind, Value

TRACE_PARENT_LENGTH = 55
PER_MILLE = 1_000
_TRACE_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_KINDS: Mapping[StepKind, SpanKind] = {
    StepKind.INTERNAL: SpanKind.INTERNAL,
    StepKind.CALL: SpanKind.CLIENT,
    StepKind.SERVE: SpanKind.SERVER,
    StepKind.PUBLISH: SpanKind.PRODUCER,
    StepKind.CONSUME: SpanKind.CONSUMER,
}
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN.name,
        grpc.StatusCode.DEADLINE_EXCEEDED.name,
        grpc.StatusCode.UNIMPLEMENTED.name,
        grpc.StatusCode.INTERNAL.name,
        grpc.StatusCode.UNAVAILABLE.name,
        grpc.StatusCode.DATA_LOSS.name,
    }
)
"""Statuses that are the server's fault, as OpenTelemetry has them; the others answer a client's mistake."""


def sampled_parent(trace_parent: object) -> SpanContext | None:
    """What a `traceparent` names, where it is one of version 00 and says that its trace is recorded."""
    if not isinstance(trace_parent, str) or len(trace_parent) != TRACE_PARENT_LENGTH:
        return None
    found = _TRACE_PARENT.fullmatch(trace_parent)
    if found is None or not int(found[3], 16) & TraceFlags.SAMPLED:
        return None
    return SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class Sampler(Protocol):
    """Decides, before anything else is done about a call, whether it is recorded."""

    def decide(self, context: Any) -> Context | None:
        """What a call's span goes on from, an empty context for a new trace; None when it is not recorded."""


class EdgeSampler:
    """For calls of strangers: a share of them by lot, whatever they say.

    What a caller says of a trace decides nothing. Where the lot falls on a call whose own end is recorded, that trace
    is gone on with; it can make no other call recorded and no trace but the caller's own longer.
    """

    def __init__(self, per_mille: int, chance: Callable[[], float] = random.random) -> None:
        """`per_mille`: of 1,000 calls so many begin a trace; `chance` draws numbers from 0 up to 1."""
        self._share = per_mille / PER_MILLE
        self._chance = chance

    def decide(self, context: Any) -> Context | None:
        """See `Sampler`."""
        if self._chance() >= self._share:
            return None
        return _below(sampled_parent(_said(context).get(TRACE_KEY)))


class PeerSampler:
    """For calls of processes of this installation: as they decided. Others are refused further in, and are nobody's
    to trace."""

    def __init__(self, peer_token: str) -> None:
        self._token = peer_token.encode()

    def decide(self, context: Any) -> Context | None:
        """See `Sampler`."""
        said = _said(context)
        trace_parent = said.get(TRACE_KEY)
        parent = None if trace_parent is None else sampled_parent(trace_parent)
        if parent is None or not hmac.compare_digest(str(said.get(PEER_TOKEN_KEY, "")).encode(), self._token):
            return None
        return _below(parent)


class Recorded:
    """A step of a trace that is recorded, from its beginning on."""

    __slots__ = ("_allowed", "_span", "_tracing", "trace_parent")

    def __init__(self, tracing: Tracing, span: SdkSpan, step: Step) -> None:
        self._tracing = tracing
        self._span = span
        self._allowed = step.attributes
        context = span.get_span_context()
        self.trace_parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits."""
        return self.trace_parent[3:35]

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self._span.is_recording()

    def end(self, *, ended_ns: int | None = None, **attributes: Value) -> None:
        """See `chapar_sourcing.tracing.Span`."""
        for name, value in attributes.items():
            self._span.set_attribute(*_attribute(name, value, self._allowed))
        self._span.end(ended_ns)

    def end_call(self, code: str) -> None:
        """Ends the span of a call with the name of its status."""
        if code in _FAULTS:
            self._span.set_status(Status(StatusCode.ERROR))
        self.end(status=code)

    def begin(self, step: Step, **attributes: Value) -> Recorded:
        """A step below this one, which is recorded as this is."""
        return self._tracing.below(self._span, step, **attributes)


_CURRENT: ContextVar[Recorded | None] = ContextVar("chapar_span", default=None)


def current_span() -> Recorded | None:
    """The call being served here, where it is recorded. None once that has ended: a task that it began has its context
    and may outlive it for hours."""
    span = _CURRENT.get()
    return span if span is not None and span.is_open else None


def current_trace_parent() -> str:
    """The `traceparent` for what follows from the call being served; "" where that is not recorded."""
    span = current_span()
    return "" if span is None else span.trace_parent


@contextmanager
def within(span: Recorded) -> Iterator[None]:
    """Makes a span the current one while the block runs."""
    token = _CURRENT.set(span)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def rpc_step(method: str, kind: StepKind) -> Step:
    """The step of calling or serving a method, given as "/package.Service/Method"."""
    return Step(method.removeprefix("/"), kind, "A call.", ("partition", "status"))


class Tracing:
    """A process's traces: `chapar_sourcing.tracing.Tracer`, and the calls it serves. Records nothing without a
    processor of spans."""

    def __init__(self, service: str, sampler: Sampler | None = None, processor: SpanProcessor | None = None) -> None:
        """Without a sampler no call is recorded; what it sends is `processor`'s to say."""
        self._sampler = None if processor is None else sampler
        self._provider: TracerProvider | None = None
        self._tracer: Any = None
        if processor is not None:
            resource = Resource({"service.name": f"chapar-{service}"})
            self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
            self._provider.add_span_processor(processor)
            self._tracer = self._provider.get_tracer("chapar")

    def call(self, method: str, context: Any) -> Recorded | None:
        """The span of a call that comes in; None where it is not recorded."""
        if self._sampler is None:
            return None
        parent = self._sampler.decide(context)
        return None if parent is None else self._begun(rpc_step(method, StepKind.SERVE), parent, None, {})

    def begin(
        self, step: Step, trace_parent: str, *, began_ns: int | None = None, **attributes: Value
    ) -> Recorded | None:
        """See `chapar_sourcing.tracing.Tracer`."""
        parent = None if self._tracer is None else sampled_parent(trace_parent)
        return None if parent is None else self._begun(step, _below(parent), began_ns, attributes)

    def below(self, span: SdkSpan, step: Step, **attributes: Value) -> Recorded:
        """A step below one of this process."""
        return self._begun(step, set_span_in_context(span, Context()), None, attributes)

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def close(self) -> None:
        """Sends what is still held, as far as that goes quickly."""
        if self._provider is not None:
            self._provider.shutdown()

    def _begun(self, step: Step, parent: Context, began_ns: int | None, attributes: Mapping[str, Value]) -> Recorded:
        told = dict(_attribute(name, value, step.attributes) for name, value in attributes.items())
        span = self._tracer.start_span(
            step.name, context=parent, kind=_KINDS[step.kind], attributes=told, start_time=began_ns
        )
        return Recorded(self, span, step)


def _attribute(name: str, value: Value, allowed: Any) -> tuple[str, Value]:
    if name not in allowed:
        raise KeyError(name)
    return f"chapar.{name}", value


def _below(parent: SpanContext | None) -> Context:
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def _said(context: Any) -> Mapping[str, Any]:
    return dict(context.invocation_metadata() or ())
