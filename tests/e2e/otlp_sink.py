"""A receiver of OTLP in the test's own process: what services send as spans, and traces as paths from their roots."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_KINDS = {
    trace.Span.SPAN_KIND_SERVER: "serve ",
    trace.Span.SPAN_KIND_CLIENT: "call ",
    trace.Span.SPAN_KIND_INTERNAL: "",
    trace.Span.SPAN_KIND_PRODUCER: "",
    trace.Span.SPAN_KIND_CONSUMER: "",
}


@dataclass(frozen=True, slots=True)
class Received:
    """One span, with the service that sent it."""

    service: str
    span: trace.Span

    @property
    def step(self) -> str:
        """In one word or two: "messaging: serve SendMessage", "messaging: react fan_out", "messaging: append"."""
        kind = _KINDS[self.span.kind]
        told = f" {self.attributes['reaction']}" if "reaction" in self.attributes else ""
        return f"{self.service}: {kind}{self.span.name.rpartition('/')[2]}{told}"

    @property
    def attributes(self) -> dict[str, Any]:
        """By name, without our prefix."""
        values = {a.key.removeprefix("chapar."): a.value for a in self.span.attributes}
        return {name: getattr(value, str(value.WhichOneof("value"))) for name, value in values.items()}


class OtlpSink:
    """Use as `with OtlpSink() as sink`; with `credentials` it demands TLS."""

    def __init__(
        self,
        credentials: grpc.ServerCredentials | None = None,
        *,
        listen: str = "127.0.0.1:0",
        held: threading.Event | None = None,
    ) -> None:
        """`held` lets nobody have an answer before it is set."""
        self.asked = 0
        """Calls that came in."""
        self._held = held
        self.requests: list[otlp.ExportTraceServiceRequest] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(
            self._take,
            request_deserializer=otlp.ExportTraceServiceRequest.FromString,
            response_serializer=otlp.ExportTraceServiceResponse.SerializeToString,
        )
        service, name = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
        if credentials is None:
            port = self._server.add_insecure_port(listen)
        else:
            port = self._server.add_secure_port(listen, credentials)
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> OtlpSink:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._server.stop(None).wait()

    def _take(self, request: otlp.ExportTraceServiceRequest, _context: Any) -> otlp.ExportTraceServiceResponse:
        with self._lock:
            self.asked += 1
        if self._held is not None:
            self._held.wait()
        with self._lock:
            self.requests.append(request)
        return otlp.ExportTraceServiceResponse()

    @property
    def received(self) -> list[Received]:
        """All spans so far."""
        with self._lock:
            requests = list(self.requests)
        return [
            Received(_service(resource), span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def paths(self, trace_id: str, root: str) -> list[tuple[str, ...]]:
        """Each span of a trace by the steps that lead to it from below `root`, the id of the client's own span.

        One whose parent has not been sent, or does not exist, begins with "?".
        """
        spans = {r.span.span_id: r for r in self.received if r.span.trace_id.hex() == trace_id}
        return sorted(_path(spans, received, root) for received in spans.values())


def _path(spans: dict[bytes, Received], received: Received, root: str) -> tuple[str, ...]:
    parent = received.span.parent_span_id
    if parent.hex() == root:
        return (received.step,)
    if parent not in spans:
        return "?", received.step
    return *_path(spans, spans[parent], root), received.step


def _service(resource: trace.ResourceSpans) -> str:
    named: Sequence[str] = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
    return "".join(named).removeprefix("chapar-")
