"""Journal and Stream on Kafka (being written: the signatures below hold)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStream


class KafkaJournal(MemoryJournal):
    """The Journal port on the topic `<service>.journal`."""

    @classmethod
    async def open(
        cls, bootstrap: str, service: str, *, partitions: int = 16, append_deadline_ms: int = 10_000
    ) -> Self:
        """Connects. Raises `Unavailable`, and `TopicRefused` when the topic has other partitions."""
        raise NotImplementedError


class KafkaStream(MemoryStream):
    """The Stream port; `partitions` is what own topics have."""

    @classmethod
    async def open(cls, bootstrap: str, *, publish_deadline_ms: int = 10_000) -> Self:
        """Connects. Raises `Unavailable`."""
        raise NotImplementedError


async def create_topics(
    bootstrap: str, service: str, *, partitions: int = 16, topics: Mapping[str, int | None] | None = None,
    replication: int = 1,
) -> None:  # fmt: skip
    """Creates `<service>.journal` and the service's streams (name -> retention in ms, None for ever) where they are
    missing, and waits for their leaders."""
    raise NotImplementedError
