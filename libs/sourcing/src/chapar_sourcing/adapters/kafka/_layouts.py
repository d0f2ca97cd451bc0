"""How topics must be laid out: what is asked for when they are made, and what is wrong with those that are there.

No I/O here: `_topics` asks the brokers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

FOR_EVER = "-1"
MESSAGE_BYTES_MAX = RECORD_BYTES_MAX + 100 * 1024
SEGMENT_MS_MIN = 60_000
BEATS_KEPT_MS = 600_000


class TopicRefused(RuntimeError):
    """A topic is not as it should be. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """One topic as its readers rely on it."""

    name: str
    partitions: int
    kept_ms: int | None = None
    """How long records are kept, milliseconds; None: for ever."""
    compacted: bool = False
    """Only the newest record of a key is kept."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What an acknowledgement is worth: so many copies are made, and all but one of them must be there."""

    replicas: int = 3

    @property
    def in_sync_min(self) -> int:
        """How many copies a record has before it is acknowledged."""
        return max(1, self.replicas - 1)


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the brokers describe it."""

    partitions: int
    replicas: int
    """Of the partition that has fewest."""
    config: Mapping[str, str]
    """All settings in force, inherited ones included."""
    own_config: Mapping[str, str]
    """Those that were set for this topic."""


def journal_topic(service: str) -> str:
    """The topic of a service's journal."""
    return f"{service}.journal"


def journal_layout(service: str, partitions: int) -> TopicLayout:
    """A journal: kept for ever and whole."""
    return TopicLayout(journal_topic(service), partitions)


def members_topic(service: str) -> str:
    """The topic of the beats of a service's members."""
    return f"{service}.members.v1"


def owners_topic(service: str) -> str:
    """The topic in which a service's members say what they own."""
    return f"{service}.owners.v1"


def members_layouts(service: str) -> list[TopicLayout]:
    """Beats are of no use after seconds; of owners the newest word on each partition counts."""
    return [
        TopicLayout(members_topic(service), 1, kept_ms=BEATS_KEPT_MS),
        TopicLayout(owners_topic(service), 1, compacted=True),
    ]


def wanted_config(layout: TopicLayout, durability: Durability) -> dict[str, str]:
    """The settings of a topic, by name."""
    config = {
        "cleanup.policy": "compact" if layout.compacted else "delete",
        "retention.ms": FOR_EVER if layout.kept_ms is None else str(layout.kept_ms),
        "retention.bytes": FOR_EVER,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        "min.insync.replicas": str(durability.in_sync_min),
        "unclean.leader.election.enable": "false",
    }
    if layout.kept_ms is not None:
        config["segment.ms"] = str(max(layout.kept_ms // 4, SEGMENT_MS_MIN))
    return config


def problems_of(layout: TopicLayout, found: FoundTopic | None, durability: Durability) -> Iterator[str]:
    """What an operator has to know about a topic that cannot be worked with, a sentence each; nothing when it can."""
    if found is None:
        yield f"there is no topic {layout.name}; `chapar topics apply` creates it"
        return
    yield from fixed_problems_of(layout, found, durability)
    for name, wanted in wrong_settings(layout, found, durability):
        value = found.config.get(name, "")
        yield f"{layout.name} has {name}={value} where {wanted} is needed; `chapar topics apply` sets it"


def wrong_settings(layout: TopicLayout, found: FoundTopic, durability: Durability) -> Iterator[tuple[str, str]]:
    """Settings that must be others: (name, value wanted)."""
    for name, wanted in wanted_config(layout, durability).items():
        if not _serves(name, found.config.get(name, ""), wanted):
            yield name, wanted


def fixed_problems_of(layout: TopicLayout, found: FoundTopic, durability: Durability) -> Iterator[str]:
    """What cannot be changed by setting a topic's configuration."""
    if found.partitions != layout.partitions:
        yield (
            f"{layout.name} has {found.partitions} partitions; {layout.partitions} were asked for, and they cannot be"
            " changed so"
        )
    if found.replicas < durability.replicas:
        yield (
            f"{layout.name} has {found.replicas} replicas where {durability.replicas} are asked for: add replicas with"
            " Kafka's own reassignment"
        )


def _serves(name: str, value: str, wanted: str) -> bool:
    """Whether a setting does what is relied on; more of what may be more does, too."""
    if name in ("min.insync.replicas", "max.message.bytes"):
        return int(value or 0) >= int(wanted)
    if name == "retention.ms" and wanted != FOR_EVER:
        return value == FOR_EVER or int(value or 0) >= int(wanted)
    return name == "segment.ms" or value == wanted
