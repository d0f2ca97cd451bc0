"""What a process tells about itself: JSON logs on stdout, metrics on a port of their own. Traces are in `tracing`.

Nothing here is global but the root of the standard library's logging, which `process` points at our format. Logs never
hold tokens, phone numbers or texts: values of telling names are dropped, values that look like one are masked, and
errors are logged by type and place, not by their text.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO, cast

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from chapar_chassis.settings import Address
from chapar_chassis.tracing import current_span
from chapar_sourcing.measures import ENGINE, SECONDS, Kind, Measure, catalogue

REDACTED = "[redacted]"
_SECRET_NAMES = re.compile(
    r"(^|_)(authorization|body|code|memo|password|phone|secret|text|title|token|username|display_name)$"
)
_SECRET_VALUES = re.compile(r"v1\.[\w-]{16,}\.[\w-]{16,}|\+\d{8,15}\b|\bs[0-9a-f]{4}\.\S{16,}|\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class Shown:
    """A value that a log line shows on purpose although its name says it should not, such as a development code."""

    value: str


def make_logger(service: str, level: str, output: TextIO = sys.stdout) -> Any:
    """A structlog logger: one JSON object a line."""
    return structlog.wrap_logger(
        structlog.PrintLogger(output),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_error,
            _add_trace,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=False,
        service=service,
    )


class LibraryLogs(logging.Handler):
    """Brings what libraries log into our format; their warnings and errors only."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._log.log(record.levelno, "library", logger=record.name, message=record.getMessage(), error=error)


def redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Structlog processor: masks whatever must not be read in a log."""
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, Shown):
        return value.value
    if _SECRET_NAMES.search(name):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(inner): _redacted(str(inner), held) for inner, held in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(name, item) for item in value]
    if isinstance(value, bytes):
        return REDACTED
    return _SECRET_VALUES.sub(REDACTED, value) if isinstance(value, str) else value


def _add_error(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    error = event.get("error")
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["where"] = places_of(error)
    return event


def places_of(error: BaseException) -> list[str]:
    """Where an error came from, outermost first: "file:line function", with no values in it."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return places if error.__cause__ is None else [*places, *places_of(error.__cause__)]


def _add_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    span = current_span()
    if span is not None:
        event["trace_id"] = span.trace_id
    return event


PREFIX = "chapar_"
CHASSIS = catalogue(
    Measure("rpc_seconds", Kind.HISTOGRAM, "Time to serve a call.", ("rpc", "code"), SECONDS),
    Measure("rpc_running", Kind.GAUGE, "Calls being served.", ("rpc",)),
    Measure("spans_recorded", Kind.COUNTER, "Steps of traces that were recorded."),
    Measure("spans_sent", Kind.COUNTER, "Steps of traces that the collector has taken."),
    Measure("spans_lost", Kind.COUNTER, "Steps of traces that the collector did not take in time."),
    Measure("incidents", Kind.COUNTER, "Errors that nobody expected: each is a bug, and in the log."),
    Measure("event_loop_lag_seconds", Kind.HISTOGRAM, "How late the event loop was to wake a sleeper.", (), SECONDS),
)
PROCESS = catalogue(
    Measure("process_cpu_seconds", Kind.COUNTER, "CPU time that the process has used."),
    Measure("process_resident_memory_bytes", Kind.GAUGE, "Memory that the process holds."),
    Measure("process_virtual_memory_bytes", Kind.GAUGE, "Addresses that the process has taken."),
    Measure("process_start_time_seconds", Kind.GAUGE, "When the process started, in seconds since 1970."),
    Measure("process_open_fds", Kind.GAUGE, "Open file descriptors."),
    Measure("process_max_fds", Kind.GAUGE, "File descriptors that the process may open."),
)
"""What the metrics library reads off from the system, without our prefix; on Linux alone."""


class Metrics:
    """A process's metrics, in a registry that was passed in: those of the chassis, and `more` of the catalogues.

    Each measure is there from the start, where it has no labels: what has never happened reads as 0.
    """

    def __init__(self, registry: CollectorRegistry, more: Mapping[str, Measure] = ENGINE) -> None:
        self.registry = registry
        # The library would add a series of when it was made to each counter and histogram; it can for all or none.
        cast(Any, disable_created_metrics)()
        ProcessCollector(registry=registry)
        self._metrics: dict[str, Any] = {
            name: _MAKE[measure.kind](measure, registry) for name, measure in {**CHASSIS, **more}.items()
        }
        self.rpc_seconds: Histogram = self._metrics["rpc_seconds"]
        self.rpc_running: Gauge = self._metrics["rpc_running"]
        self.incidents: Counter = self._metrics["incidents"]

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Adds to a counter of a catalogue."""
        _child(self._metrics[name], labels).inc(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a reading of a catalogue."""
        _child(self._metrics[name], labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds one value to a histogram of a catalogue."""
        _child(self._metrics[name], labels).observe(value)


_MAKE: Mapping[Kind, Callable[[Measure, CollectorRegistry], Any]] = {
    Kind.COUNTER: lambda m, registry: Counter(PREFIX + m.name, m.meaning, m.labels, registry=registry),
    Kind.GAUGE: lambda m, registry: Gauge(PREFIX + m.name, m.meaning, m.labels, registry=registry),
    Kind.HISTOGRAM: lambda m, registry: Histogram(
        PREFIX + m.name, m.meaning, m.labels, registry=registry, buckets=m.buckets
    ),
}

LOOP_SECONDS = 0.25


async def watch_event_loop(metrics: Metrics) -> None:
    """Measures for ever how late the event loop is: whatever holds it up holds up everything."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_SECONDS
        await asyncio.sleep(LOOP_SECONDS)
        metrics.observe("event_loop_lag_seconds", max(0.0, loop.time() - due))


class MetricsServer:
    """Serves a registry by HTTP on its own port and thread."""

    def __init__(self, registry: CollectorRegistry, listen: Address) -> None:
        self._server, self._thread = start_http_server(listen.port, listen.host, registry)
        self.address = Address(listen.host, self._server.server_port)

    def close(self) -> None:
        """Ends the server and waits for its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _child(metric: Any, labels: Mapping[str, str]) -> Any:
    return metric.labels(**labels) if labels else cast(Any, metric)
