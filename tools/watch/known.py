"""Every series that a query may name: those of the catalogues in the code, those that rules record, and the few of
others, with their labels and the jobs that have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import grpc

from chapar_chassis.telemetry import CHASSIS, PREFIX, PROCESS
from chapar_client.canary import MEASURES
from chapar_gateway.measures import GATEWAY
from chapar_payments.measures import PAYMENTS
from chapar_sourcing.measures import ENGINE, Kind, Measure, catalogue
from tools.reference import FILES

OWNERS = ("chapar-identity", "chapar-messaging", "chapar-payments", "chapar-presence")
JOBS = ("chapar-gateway", *OWNERS)
CANARY_JOB = "chapar-canary"
CANARY = catalogue(*(Measure(m.name, Kind(m.kind), m.meaning, m.labels, m.buckets) for m in MEASURES))
"""What `chapar canary` measures, which knows nothing of the engine's libraries."""
BROKERS = "kafka"
"""The job that scrapes brokers' own JMX exporters, with the rules of `deploy/prometheus/kafka-jmx.yaml`."""


REACTORS: Mapping[str, frozenset[str]] = {
    "chapar-identity": frozenset({"carry-sign-ins", "carry-reservations", "release-phones", "deliver-codes"}),
    "chapar-messaging": frozenset({"fan_out", "payment_cards", "erase_contents"}),
    "chapar-payments": frozenset({"transits", "erase-memos"}),
    "chapar-presence": frozenset({"memberships"}),
}
"""By job, without the "reactor/" that stands before them as a label."""
VALUES: Mapping[str, frozenset[str]] = {
    "rpc": frozenset(
        f"/{service.full_name}/{method.name}"
        for module in FILES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ),
    "code": frozenset(code.name for code in grpc.StatusCode),
    "reactor": frozenset(f"reactor/{name}" for names in REACTORS.values() for name in names),
}
"""What labels can be whose values queries name."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series name."""

    name: str
    kind: Kind
    """A histogram's `_bucket`, `_sum` and `_count` are counters."""
    labels: frozenset[str]
    jobs: frozenset[str]
    """Empty for what rules record."""


BROKER_SERIES: Mapping[str, Kind] = {
    "kafka_server_replicamanager_underreplicatedpartitions": Kind.GAUGE,
    "kafka_server_replicamanager_underminisrpartitioncount": Kind.GAUGE,
    "kafka_controller_kafkacontroller_offlinepartitionscount": Kind.GAUGE,
    "kafka_controller_kafkacontroller_activecontrollercount": Kind.GAUGE,
    "kafka_server_brokertopicmetrics_bytesin_total": Kind.COUNTER,
    "kafka_server_brokertopicmetrics_bytesout_total": Kind.COUNTER,
    "kafka_server_replicamanager_isrshrinks_total": Kind.COUNTER,
}


def _of(measure: Measure, jobs: Iterable[str], prefix: str) -> Iterator[Series]:
    labels = frozenset({"job", "instance", *measure.labels})
    base = Series(prefix + measure.name, measure.kind, labels, frozenset(jobs))
    match measure.kind:
        case Kind.COUNTER:
            yield replace(base, name=f"{base.name}_total")
        case Kind.GAUGE:
            yield base
        case Kind.HISTOGRAM:
            yield replace(base, name=f"{base.name}_bucket", kind=Kind.COUNTER, labels=labels | {"le"})
            yield replace(base, name=f"{base.name}_sum", kind=Kind.COUNTER)
            yield replace(base, name=f"{base.name}_count", kind=Kind.COUNTER)


def _scraped() -> Iterator[Series]:
    for measures, jobs, prefix in ((CHASSIS, JOBS, PREFIX), (PROCESS, JOBS, ""), (ENGINE, OWNERS, PREFIX),
                                   (GATEWAY, JOBS[:1], PREFIX), (PAYMENTS, ("chapar-payments",), PREFIX),
                                   (CANARY, (CANARY_JOB,), PREFIX)):  # fmt: skip
        for measure in measures.values():
            yield from _of(measure, jobs, prefix)
    yield Series("up", Kind.GAUGE, frozenset({"job", "instance"}), frozenset({*JOBS, CANARY_JOB}))
    for name, kind in BROKER_SERIES.items():
        yield Series(name, kind, frozenset({"job", "instance", "topic"}), frozenset({BROKERS}))


SCRAPED: Mapping[str, Series] = {series.name: series for series in _scraped()}


def known(recorded: Mapping[str, Iterable[str]]) -> Mapping[str, Series]:
    """All series by name; `recorded` has the labels of each that rules record."""
    rules = {name: Series(name, Kind.GAUGE, frozenset(labels), frozenset()) for name, labels in recorded.items()}
    return {**SCRAPED, **rules}
