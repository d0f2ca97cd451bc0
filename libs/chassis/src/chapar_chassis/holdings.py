"""What there is of a service already: asked before secrets are made or a backup is restored. Nothing is opened for
writing here, and nothing has to be there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from chapar_chassis.ports import PublishedTopic, cluster_of
from chapar_chassis.secrets import files_of
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.kafka import journal_topic, owners_topic, topics_with_records


async def truth_of(service: str, settings: CommonSettings) -> Sequence[str]:
    """Names of the files, topics and collections of a service that hold what secrets belong to: its log, its keys.

    Raises `TopicRefused`, `DatabaseRefused`, `SecretsInvalid`, `Unavailable`: then nobody knows.
    """
    files = files_of(settings.data_dir, service)
    topics = await topics_with_records(cluster_of(settings), [journal_topic(service)]) if settings.kafka else ()
    kept = [name for name in await _collections(service, settings) if name.endswith(".keys")]
    return [*files, *topics, *kept]


async def everything_of(service: str, settings: CommonSettings, published: Sequence[PublishedTopic]) -> Sequence[str]:
    """The same of all that a service keeps: store, streams and the word on who owns what, too. Raises the same."""
    folder, stream = settings.data_dir / service, settings.data_dir / "streams" / f"{service}.db"
    files = [path for path in (folder / "store.db", stream) if path.exists()]
    names = [journal_topic(service), *(topic.name for topic in published), owners_topic(service)]
    topics = await topics_with_records(cluster_of(settings), names) if settings.kafka else ()
    return [
        *files_of(settings.data_dir, service),
        *map(str, files),
        *topics,
        *await _collections(service, settings),
    ]


async def _collections(service: str, settings: CommonSettings) -> Sequence[str]:
    if not settings.mongo_uri:
        return ()
    from chapar_chassis.database import database_of
    from chapar_sourcing.adapters.mongo import collections_with_documents

    database = database_of(settings, service)
    return [f"{database.name}.{name}" for name in await collections_with_documents(database)]


async def print_holdings(
    service: str, settings: CommonSettings, published: Sequence[PublishedTopic], output: TextIO
) -> int:
    """`holdings`: prints one JSON object with all that there is of the service. Raises what `everything_of` does."""
    print(json.dumps({"holdings": await everything_of(service, settings, published)}), file=output, flush=True)
    return 0
