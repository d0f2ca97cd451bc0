"""`topics apply`, `topics check`: a service's topics on Kafka, made or set right by an operator, or only looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from chapar_chassis.ports import PublishedTopic, cluster_of, durability_of, topic_layouts
from chapar_chassis.settings import CommonSettings, SettingsInvalid
from chapar_sourcing.adapters.kafka import apply_topics, check_topics


async def run_topics(
    service: str, settings: CommonSettings, topics: Sequence[PublishedTopic], action: str, output: TextIO
) -> int:
    """Prints one JSON object a topic: what it is like and what was done.

    Raises `SettingsInvalid`, `TopicRefused` with all that is wrong, `Unavailable`.
    """
    if action not in ("apply", "check"):
        raise SettingsInvalid(["topics are applied or checked: topics apply, topics check"])
    if not settings.kafka:
        raise SettingsInvalid(["CHAPAR_KAFKA must be set: SQLite has no topics"])
    layouts = topic_layouts(settings, service, topics)
    cluster, durability = cluster_of(settings), durability_of(settings)
    done = {}
    if action == "apply":
        done = {one.topic: one for one in await apply_topics(cluster, layouts, durability)}
    else:
        await check_topics(cluster, layouts, durability)
    for layout in layouts:
        change = done.get(layout.name)
        row = {
            "topic": layout.name,
            "partitions": layout.partitions,
            "kept_ms": layout.kept_ms,
            "change": "unchanged" if change is None else change.change,
            "settings": [] if change is None else list(change.settings),
        }
        print(json.dumps(row), file=output, flush=True)
    return 0
