"""What the engine measures: the catalogue, and the small interface behind which the chassis has a metrics library.

A measure that is not in the catalogue is refused where it is taken. Labels are few and bounded: a partition, a topic, a
phase, a reason of an enum; never a user, a key or anything that a client has said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """How values of a measure add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: a name in snake case with the unit last."""

    name: str
    kind: Kind
    meaning: str
    """One sentence, for those who look at it."""
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()
    """Upper bounds, of histograms alone."""


class Measures(Protocol):
    """Takes in counts and readings of the measures of a catalogue; any other is a `KeyError`."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Adds to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a reading."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds one value to a histogram."""


def catalogue(*measures: Measure) -> Mapping[str, Measure]:
    """Measures by name. Raises `ValueError` for a name that is there twice."""
    named = {measure.name: measure for measure in measures}
    if len(named) != len(measures):
        raise ValueError("a measure is in the catalogue twice")
    return named


def _counters(*rows: Sequence[str]) -> Iterable[Measure]:
    return (Measure(name, Kind.COUNTER, meaning, labels) for name, meaning, *labels in rows)


def _gauges(*rows: Sequence[str]) -> Iterable[Measure]:
    return (Measure(name, Kind.GAUGE, meaning, labels) for name, meaning, *labels in rows)


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)

ENGINE = catalogue(
    # Deciding.
    Measure("append_seconds", Kind.HISTOGRAM, "Time until the journal acknowledged a block or a claim.", (), SECONDS),
    Measure("block_entries", Kind.HISTOGRAM, "Entries of a block that became durable here.", (), COUNTS),
    *_counters(
        ("entries_written", "Commands decided whose blocks became durable here."),
        ("answers_repeated", "Commands that were decided before and got their first answer again."),
        ("commands_overloaded", "Commands refused because a waiting room was full."),
        ("commands_too_late", "Commands refused because they would not have made their deadline."),
        ("confirmations_overloaded", "Reads refused because too many waited to be confirmed."),
        ("appends_unknown", "Appends that ended without an answer."),
        ("alarms", "Contradictions found in a log or a store: whoever finds one decides nothing more."),
        ("timers_failed", "Commands of due timers that failed; they are tried again.", "reason"),
        ("positions_beyond_owner", "Clients that have seen more of a log than its confirmed owner."),
    ),
    # Owning.
    *_counters(
        ("owner_phases", "Times that an owner of a partition came into a phase of its life.", "phase"),
        ("partitions_lost", "Partitions that others took over from this process."),
        ("partitions_released_late", "Releases of a partition that had to be cut short."),
        ("drains_cut_short", "Orderly ends of the process that had to be cut short."),
        ("heartbeats_lost", "Own heartbeats that were not acknowledged in time."),
        ("records_read", "Records of logs that were read by owners, at a take-over or in doubt."),
    ),
    *_gauges(
        ("partitions_owned", "Partitions that this process decides."),
        ("partitions_held", "Partitions that this process has to do with, decided here or not yet."),
        ("partitions_troubled", "Partitions held here in which something is wrong."),
        ("members_alive", "Processes of the service that are alive, as far as this one has read; itself included."),
        ("heartbeat_age_seconds", "Time since an own heartbeat was acknowledged."),
        ("clock_off_ms", "How far the clock is off the journal's, where that is too far; else 0.", "partition"),
        ("commands_waiting", "Commands that wait to be decided."),
        ("documents_in_memory", "Documents that owners remember."),
        ("documents_unstored", "Documents and answers that wait to be written to the store."),
    ),
    # The store.
    Measure("load_seconds", Kind.HISTOGRAM, "Time until the store answered a load of documents.", (), SECONDS),
    *_counters(
        ("documents_loaded", "Documents that owners asked the store for."),
        ("loads_failed", "Loads that the store did not answer."),
        ("documents_projected", "Documents written to the store."),
        ("projections_failed", "Writes that the store refused or did not answer; they are tried again."),
        ("documents_purged", "Documents deleted from the store because they were too old."),
        ("purges_failed", "Deletions that the store refused or did not answer."),
        ("editions_switched", "Partitions whose store was switched to another edition."),
        ("edition_differences", "Documents or rows in which a rebuilt edition differed from the live one."),
        ("rows_merged", "Rows of inboxes merged."),
    ),
    *_gauges(
        ("projection_lag_offsets", "Records between what an owner has folded and its checkpoint.", "partition"),
        ("projection_lag_seconds", "Age of the checkpoint's block, where there is a newer one.", "partition"),
        ("rebuild_done", "Records that a phase of a rebuild has dealt with.", "partition", "phase"),
        ("rebuild_total", "Records that a phase of a rebuild has to deal with.", "partition", "phase"),
    ),
    # What follows from logs.
    *_counters(
        ("events_published", "Events published to a stream.", "topic"),
        ("followers_restarted", "Relays and reactors that began again from their cursors.", "follower"),
        ("reactor_waits", "Tries of a reaction that had to wait.", "reactor"),
        ("reactor_failures", "Tries of a reaction, or of a command that it sent, that failed: a bug.", "reactor"),
        ("reactor_retries", "Batches of commands and advances that were sent again.", "reactor"),
        ("reactor_refusals", "Commands of reactors that were refused for good.", "reactor", "reason"),
        ("reactor_holes", "Commands of reactors whose predecessor had not arrived.", "reactor"),
        ("keys_destroyed", "Data keys destroyed by erasures."),
    ),
    *_gauges(
        ("relay_lag_offsets", "Records not looked at by the relays of a topic, of the worst partition.", "topic"),
        ("reactor_lag_seconds", "Age of the oldest event under way, of the worst partition.", "reactor"),
        ("reactor_items", "Commands and advances under way.", "reactor"),
        ("reactor_carried", "What commands under way carry, as far as logs are read; of transits: rials.", "reactor"),
        ("reactor_carried_late", "The same, under way for more than 30 s: it is in doubt.", "reactor"),
        ("watchers", "Live views of keys that are open."),
    ),
)  # fmt: skip


class HeldMeasures:
    """Keeps counts and readings in memory: for tests, and where nobody collects them."""

    def __init__(self, known: Mapping[str, Measure] = ENGINE) -> None:
        self._known = known
        self.counters: defaultdict[str, int] = defaultdict(int)
        self.gauges: dict[str, float] = {}
        self.values: defaultdict[str, list[float]] = defaultdict(list)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Adds to the counter, over all labels together."""
        self._check(name, Kind.COUNTER, labels)
        self.counters[name] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets the reading of this name and these labels."""
        self._check(name, Kind.GAUGE, labels)
        self.gauges[",".join([name, *(f"{k}={v}" for k, v in sorted(labels.items()))])] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Keeps the value, over all labels together; the newest thousand."""
        self._check(name, Kind.HISTOGRAM, labels)
        kept = self.values[name]
        kept.append(value)
        del kept[:-1_000]

    def _check(self, name: str, kind: Kind, labels: Mapping[str, str]) -> None:
        measure = self._known[name]
        if measure.kind is not kind or {*measure.labels} != {*labels}:
            raise KeyError(f"{name} is a {measure.kind.value} with the labels {[*measure.labels]}")
