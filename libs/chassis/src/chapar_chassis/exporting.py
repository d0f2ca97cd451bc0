"""Sends recorded spans to an OpenTelemetry collector, by OTLP over gRPC, from a thread of its own.

No call ever waits for it: spans queue within a bound, beyond which the oldest are lost; a batch that does not arrive
in time is lost, too, and not sent again. Both are counted. The library's own exporter retries, reads variables of the
environment that are no settings of ours, and logs addresses and other people's error texts: see ADR 0026.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from chapar_chassis.settings import CommonSettings, is_loopback
from chapar_chassis.tls import CertificateInvalid, PeerCertificate, authorities
from chapar_chassis.tracing import Sampler, Tracing
from chapar_sourcing.measures import Measures

QUEUE_SPANS_MAX = 2_048
BATCH_SPANS_MAX = 512
DELAY_MS = 1_000
"""How long a span waits for others at most, while all goes well."""
SEND_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 1.0
"""What a process that ends gives to what it still holds."""
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class Collector:
    """Where a process sends its spans: over TLS, showing the process's own certificate where it has one; in the clear
    to this machine, and in development, unless an authority is named."""

    def __init__(self, settings: CommonSettings, certificate: PeerCertificate | None) -> None:
        """Raises `CertificateInvalid`."""
        assert settings.otlp is not None, "only asked for where there is one"
        self._address = settings.otlp
        self._authority = settings.otlp_ca
        self._certificate = certificate
        self._clear = self._authority is None and (settings.development or is_loopback(self._address.host))
        if self._authority is not None:
            authorities(self._authority)

    @property
    def stamp(self) -> object:
        """Changes when the process has another certificate to show."""
        return None if self._clear or self._certificate is None else self._certificate.stamp

    def open(self) -> grpc.Channel:
        """A new connection. Raises `CertificateInvalid`."""
        if self._clear:
            return grpc.insecure_channel(str(self._address), options=_CHANNEL_OPTIONS)
        trusted = None if self._authority is None else authorities(self._authority)
        chain, private = (None, None) if self._certificate is None else self._certificate.shown
        credentials = grpc.ssl_channel_credentials(trusted, private, chain)
        return grpc.secure_channel(str(self._address), credentials, options=_CHANNEL_OPTIONS)


class OtlpExporter(SpanExporter):
    """Sends batches to a collector, from the one thread of a `Spans`."""

    def __init__(self, collector: Collector, measures: Measures) -> None:
        self._collector = collector
        self._measures = measures
        self._stamp = collector.stamp
        self._channel = collector.open()
        self._send = _sending(self._channel)
        self._ends_s: float | None = None
        """When nothing is sent any more, by the monotonic clock."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch once."""
        if self._is_over:
            self._measures.count("spans_lost", len(spans))
            return SpanExportResult.FAILURE
        try:
            self._renew()
            self._send(encode_spans(spans), timeout=self._seconds())
        except (grpc.RpcError, CertificateInvalid):
            self._measures.count("spans_lost", len(spans))
            return SpanExportResult.FAILURE
        self._measures.count("spans_sent", len(spans))
        return SpanExportResult.SUCCESS

    def hurry(self, seconds: float) -> None:
        """From here on all batches together have so long."""
        self._ends_s = time.monotonic() + seconds

    def shutdown(self) -> None:
        """Ends the connection, and what is under way on it."""
        self._channel.close()

    @property
    def _is_over(self) -> bool:
        return self._ends_s is not None and time.monotonic() >= self._ends_s

    def _renew(self) -> None:
        stamp = self._collector.stamp
        if stamp != self._stamp:
            renewed = self._collector.open()
            self._channel.close()
            self._channel, self._send, self._stamp = renewed, _sending(renewed), stamp

    def _seconds(self) -> float:
        left_s = SEND_SECONDS_MAX if self._ends_s is None else self._ends_s - time.monotonic()
        return max(0.001, left_s)


def _sending(channel: grpc.Channel) -> Any:
    return channel.unary_unary(
        _EXPORT,
        request_serializer=otlp.ExportTraceServiceRequest.SerializeToString,
        response_deserializer=otlp.ExportTraceServiceResponse.FromString,
    )


class Spans(BatchSpanProcessor):
    """Spans that wait to be sent. What was recorded and neither sent nor lost waits still, or the queue was full."""

    def __init__(
        self, exporter: OtlpExporter, measures: Measures, close_seconds_max: float = CLOSE_SECONDS_MAX
    ) -> None:
        super().__init__(
            exporter,
            max_queue_size=QUEUE_SPANS_MAX,
            schedule_delay_millis=DELAY_MS,
            max_export_batch_size=BATCH_SPANS_MAX,
            export_timeout_millis=SEND_SECONDS_MAX * 1_000,
        )
        self._exporter = exporter
        self._measures = measures
        self._close_seconds_max = close_seconds_max

    def on_end(self, span: ReadableSpan) -> None:
        """Takes a span in; never waits."""
        self._measures.count("spans_recorded")
        super().on_end(span)

    def shutdown(self) -> None:
        """Sends what waits, as far as that goes quickly; what is under way is cut then."""
        self._exporter.hurry(self._close_seconds_max)
        over = threading.Timer(self._close_seconds_max, self._exporter.shutdown)
        over.start()
        super().shutdown()  # type: ignore[no-untyped-call]
        over.cancel()


def open_tracing(
    service: str, settings: CommonSettings, certificate: PeerCertificate | None, sampler: Sampler, measures: Measures
) -> Tracing:
    """A process's traces, as its settings say; recorded and sent only where they name a collector.

    Raises `CertificateInvalid`.
    """
    if settings.otlp is None:
        return Tracing(service)
    return Tracing(service, sampler, Spans(OtlpExporter(Collector(settings, certificate), measures), measures))
