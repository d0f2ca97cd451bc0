"""A process's metrics, as far as they are ours: known labels, and numbers."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from chapar_client.sdk import Unavailable

SCRAPE_S_MAX = 5.0
BYTES_MAX = 16 * 1024 * 1024
PREFIXES = ("chapar_", "process_")
LABELS = frozenset(
    {"partition", "phase", "topic", "follower", "reactor", "reason", "rule", "rpc", "code", "stage", "le"}
)
"""Whose values are numbers of partitions and words of our own code; anything else stays out of a bundle."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


async def scrape(address: str) -> Sequence[Sample]:
    """All of a process's own metrics. Raises `Unavailable`."""

    def get() -> str:
        with urllib.request.urlopen(  # nosec B310 # http always
            f"http://{address}/metrics", timeout=SCRAPE_S_MAX
        ) as answer:
            return str(answer.read(BYTES_MAX).decode("utf-8", "replace"))

    try:
        return samples(await asyncio.to_thread(get))
    except (OSError, ValueError) as error:
        raise Unavailable(f"no metrics at {address} ({type(error).__name__})") from None


def samples(text: str) -> Sequence[Sample]:
    """Those of a page of metrics that may be shown. Raises `ValueError` for a page that is none."""
    found = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return [
        Sample(sample.name, sample.value, dict(sample.labels))
        for sample in found
        if sample.name.startswith(PREFIXES) and {*sample.labels} <= LABELS
    ]
