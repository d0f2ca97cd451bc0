"""What is wrong with what was found, each in a sentence, with what to do. Pure: the same `Found`, the same findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from chapar_client.doctor._found import Found, Process

CLOCK_MS_MAX = 2_000
DISK_FREE_SHARE_MIN = 0.1
DISK_FREE_BYTES_MIN = 1 << 30
CERTIFICATE_DAYS_MIN = 7
CERTIFICATE_DAYS_SOON = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing."""

    level: Literal["wrong", "notice"]
    """Wrong: somebody has to do something about it."""
    about: str
    """A process, a service, or "installation"."""
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class _Bound:
    """A metric that is wrong above a bound; the same bounds as those of alerts."""

    metric: str
    above: float
    what: str
    """Said with `{value}`."""
    book: str
    """The runbook that goes on from here."""
    level: Literal["wrong", "notice"] = "wrong"


_BOUNDS = (
    _Bound("chapar_alarms_total", 0, "has found a contradiction in a log or a store and decides nothing more there",
           "ChaparLogContradicted"),
    _Bound("chapar_positions_beyond_owner_total", 0, "was asked by clients that have seen more of a log than it has",
           "ChaparClientsAheadOfLog"),
    _Bound("chapar_ledger_violations_total", 0, "has read events that break a rule of the books", "ChaparLedgerBroken"),
    _Bound("chapar_reactor_carried_late", 0, "has {value:.0f} rials under way for more than 30 s",
           "ChaparMoneyDoubtful"),
    _Bound("chapar_clock_off_ms", 0, "has a clock that is {value:.0f} ms off its journal's", "ChaparClockOff"),
    _Bound("chapar_heartbeat_age_seconds", 5, "had no heartbeat acknowledged for {value:.0f} s", "ChaparHeartbeatOld"),
    _Bound("chapar_projection_lag_seconds", 60, "has a store that is {value:.0f} s behind its log",
           "ChaparProjectionLate"),
    _Bound("chapar_reactor_lag_seconds", 30, "has reactions that wait for {value:.0f} s", "ChaparReactorLate"),
    _Bound("chapar_relay_lag_offsets", 10_000, "has relays that are {value:.0f} records behind", "ChaparRelayLate"),
    _Bound("chapar_revocations_age_seconds", 1, "knows of revocations of {value:.1f} s ago only",
           "ChaparRevocationsOld"),
    _Bound("chapar_reactor_refusals_total", 0, "had commands of reactors refused for good", "ChaparReactorRefused",
           "notice"),
    _Bound("chapar_incidents_total", 0, "met {value:.0f} errors that nobody expected since it started",
           "ChaparIncident", "notice"),
    _Bound("chapar_edition_differences_total", 0, "found a rebuilt store to differ", "ChaparEditionDiffers", "notice"),
)  # fmt: skip


def findings(found: Found) -> Sequence[Finding]:
    """What is wrong comes first; empty when nothing is worth a word."""
    said = chain(
        _processes(found), _partitions(found), _members(found), _metrics(found), _reports(found), _installation(found)
    )
    return sorted(said, key=lambda finding: finding.level != "wrong")


def _processes(found: Found) -> Iterator[Finding]:
    for one in found.processes:
        if one.state == "away":
            yield Finding(
                "wrong",
                one.name,
                f"{one.name} does not answer at {one.address}.",
                "Look whether it runs and at the end of its log; see ChaparServiceAbsent.",
            )
        elif one.state != "ready":
            yield Finding(
                "wrong",
                one.name,
                f"{one.name} answers and is not ready.",
                "Its last not_ready line says why; see ChaparPartitionsTroubled.",
            )
        if one.metrics is None and one.state != "away":
            yield Finding(
                "notice",
                one.name,
                f"The metrics of {one.name} could not be read.",
                "Look at CHAPAR_METRICS_LISTEN; nothing that follows from metrics was looked at.",
            )


def _partitions(found: Found) -> Iterator[Finding]:
    for service, partitions in found.partitions.items():
        ill = [one for one in partitions if not one.well]
        if ill:
            numbers = ", ".join(str(one.number) for one in ill[:10]) + (" ..." if len(ill) > 10 else "")
            yield Finding(
                "wrong",
                service,
                f"{len(ill)} of {len(partitions)} partitions of {service} have no owner that is well: {numbers}.",
                f"Read why: chapar owners show {service}",
            )


def _members(found: Found) -> Iterator[Finding]:
    """Processes of a service that do not see each other."""
    for one in found.processes:
        peers = {other.name for other in found.processes if other.service == one.service and other.state != "away"}
        unseen = sorted(peers - {*one.members})
        if one.members and unseen:
            yield Finding(
                "wrong",
                one.name,
                f"{one.name} does not see {', '.join(unseen)}.",
                "Look at the connections between them and their broker; see ChaparPartitionsMoving.",
            )
        if "?" in one.members:
            yield Finding(
                "notice",
                one.name,
                f"{one.name} sees members that are not of this folder.",
                "End what else runs on its logs, or look at every machine of the service.",
            )


def _metrics(found: Found) -> Iterator[Finding]:
    for one in found.processes:
        yield from _bounds(one)


def _bounds(one: Process) -> Iterator[Finding]:
    for bound in _BOUNDS:
        value = one.most(bound.metric)
        if value is not None and abs(value) > bound.above:
            yield Finding(
                bound.level,
                one.name,
                f"{one.name} {bound.what.format(value=value)}.",
                f"Go on with docs/runbooks/{bound.book}.md",
            )


def _reports(found: Found) -> Iterator[Finding]:
    for service in found.unreported:
        yield Finding(
            "wrong",
            service,
            f"{service} could not say what it stands on: its settings are refused.",
            f"Read why: python -m chapar_{service} doctor, with its environment.",
        )
    for service, report in found.reports.items():
        yield from _topics(service, report)
        yield from _certificates(service, report)
        for part, error in report["unread"].items():
            kind = part.partition("/")[0]
            yield Finding(
                "wrong",
                service,
                f"The {kind} of {service} could not be looked at ({error}).",
                _LOOK.get(kind, f"Read why: start {service} by hand, it says so in one line."),
            )
        beside = (report.get("editions") or {}).get("beside", {})
        if beside:
            yield Finding(
                "notice",
                service,
                f"{len(beside)} partitions of {service} have a second edition of their store.",
                f"Go on with it, or drop it: chapar rebuild {service}",
            )


_LOOK: Mapping[str, str] = {
    "topics": "Read why: chapar topics check",
    "editions": "Read why: chapar database check, or look at the store's file and who may read it.",
    "certificates": "Look at the file that the setting names: it must be there, readable, and PEM.",
    "disk": "Look whether the data folder is there.",
}


def _topics(service: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    for topic in report.get("topics") or ():
        if topic["problems"]:
            yield Finding(
                "wrong",
                service,
                f"The topic {topic['topic']} is not laid out as it must be.",
                "Read what: chapar topics check; `chapar topics apply` sets right what can be set.",
            )


def _certificates(service: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    for certificate in filter(None, report["certificates"]):
        days, name = certificate["days_left"], certificate["setting"]
        if days < CERTIFICATE_DAYS_SOON:
            ended = "has ended" if days < 0 else f"ends in {days:.0f} days"
            level: Literal["wrong", "notice"] = "wrong" if days < CERTIFICATE_DAYS_MIN else "notice"
            yield Finding(
                level,
                service,
                f"A certificate of {service} ({name}) {ended}.",
                "Renew it; processes notice new files by themselves.",
            )


def _installation(found: Found) -> Iterator[Finding]:
    if found.clock_ahead_ms is not None and abs(found.clock_ahead_ms) > CLOCK_MS_MAX:
        yield Finding(
            "wrong",
            "installation",
            f"The gateway's clock is {found.clock_ahead_ms} ms ahead of this machine's.",
            "Set the clock right of whichever is wrong; see ChaparClockOff.",
        )
    disks = {(d["free_bytes"], d["total_bytes"]) for r in found.reports.values() if (d := r["disk"]) is not None}
    free, total = min(disks, default=(0, 0))
    if disks and (free < DISK_FREE_BYTES_MIN or free < total * DISK_FREE_SHARE_MIN):
        yield Finding(
            "wrong",
            "installation",
            f"{free / 1e9:.1f} GB of {total / 1e9:.1f} GB are free where the data folder is.",
            "Make room before it is full: nothing is acknowledged then.",
        )
    versions = {
        name: {report["versions"].get(name) for report in found.reports.values()}
        for name in ("python", "chapar-chassis", "chapar-sourcing", "grpcio")
    }
    for name in (name for name, several in versions.items() if len(several) > 1):
        yield Finding(
            "notice",
            "installation",
            f"Services run with different versions of {name}.",
            "That is well while a release is rolled out; otherwise end the roll-out.",
        )
