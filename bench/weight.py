"""Bytes that an installation takes on broker and database: by topic, and by collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pymongo
from bson.raw_bson import RawBSONDocument


def topic_bytes(kafka: Path) -> Mapping[str, int]:
    """By topic, what its partitions' segments hold: records with their batches' headers, no indexes."""
    found = Counter[str]()
    for segment in (kafka / "data").glob("*-*/*.log"):
        found[segment.parent.name.rpartition("-")[0]] += segment.stat().st_size
    return found


def store_bytes(uri: str) -> Mapping[str, tuple[int, int]]:
    """By database and collection: how many documents, and their size as BSON, uncompressed and without indexes."""
    found = {}
    client: pymongo.MongoClient[RawBSONDocument] = pymongo.MongoClient(uri, document_class=RawBSONDocument)
    with client:
        for name in client.list_database_names():
            if not name.startswith("chapar_"):
                continue
            for collection in client[name].list_collection_names():
                sizes = [len(document.raw) for document in client[name][collection].find()]
                found[f"{name.removeprefix('chapar_')}.{collection}"] = (len(sizes), sum(sizes))
    return found


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> Mapping[str, int]:
    """What there is more of, by name."""
    return {name: size - before.get(name, 0) for name, size in after.items() if size > before.get(name, 0)}
