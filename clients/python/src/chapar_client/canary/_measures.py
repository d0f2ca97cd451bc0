"""What a canary measures. The catalogue is data: the page of metrics, dashboards and rules are checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

STAGES = ("settle", "send", "delivery", "wallet", "transfer", "arrival")
"""What is tried: settling what an earlier round left; sending; the message at its reader; reading both wallets; paying;
the card that says the money is there."""
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "chapar_"


@dataclass(frozen=True, slots=True)
class CanaryMeasure:
    """One measure, without the prefix of all."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()


MEASURES: Sequence[CanaryMeasure] = (
    CanaryMeasure("canary_attempts", "counter", "What a canary tried.", ("stage",)),
    CanaryMeasure("canary_failures", "counter", "What failed of it, or was not done in time.", ("stage",)),
    CanaryMeasure("canary_seconds", "histogram", "Time until what a canary tried was done.", ("stage",), SECONDS),
    CanaryMeasure("canary_unsettled", "gauge", "Commands of a canary whose outcome is not known."),
    CanaryMeasure("canary_missing_rials", "gauge", "What both wallets of a canary hold less than they once did."),
)


class CanaryMeasures:
    """Counts of one canary, in a registry of its own. All stages are there from the start, at 0."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        cast(Any, disable_created_metrics)()
        made = {measure.name: _made(measure, self.registry) for measure in MEASURES}
        self._attempts, self._failures = made["canary_attempts"], made["canary_failures"]
        self._seconds = made["canary_seconds"]
        self._unsettled, self._missing = made["canary_unsettled"], made["canary_missing_rials"]
        for stage in STAGES:
            for metric in (self._attempts, self._failures, self._seconds):
                metric.labels(stage=stage)

    def tried(self, stage: str) -> None:
        """Something is tried now."""
        self._attempts.labels(stage=stage).inc()

    def failed(self, stage: str) -> None:
        """What was tried has failed."""
        self._failures.labels(stage=stage).inc()

    def took(self, stage: str, seconds: float) -> None:
        """What was tried is done."""
        self._seconds.labels(stage=stage).observe(seconds)

    def unsettled(self, commands: int) -> None:
        """So many commands have no outcome yet."""
        self._unsettled.set(commands)

    def missing(self, rials: int) -> None:
        """So much less than once is in both wallets."""
        self._missing.set(rials)

    def value(self, name: str, **labels: str) -> float:
        """A number as it is served, such as `chapar_canary_attempts_total`; 0 where there is none."""
        return self.registry.get_sample_value(name, labels) or 0.0


class MeasuresServer:
    """Serves them by HTTP on a thread of its own."""

    def __init__(self, measures: CanaryMeasures, host: str, port: int) -> None:
        """Port 0 takes any free one. Raises `OSError` where nobody may listen."""
        self._server, self._thread = start_http_server(port, host, measures.registry)
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Ends it, and waits for its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _made(measure: CanaryMeasure, registry: CollectorRegistry) -> Any:
    name, labels = _PREFIX + measure.name, [*measure.labels]
    match measure.kind:
        case "counter":
            return Counter(name, measure.meaning, labels, registry=registry)
        case "gauge":
            return Gauge(name, measure.meaning, labels, registry=registry)
        case "histogram":
            return Histogram(name, measure.meaning, labels, registry=registry, buckets=measure.buckets)
