"""`doctor`: what a service can say of itself and of what it stands on, for whoever looks for what is wrong.

Meant to be handed on, so nothing gets in that was not chosen: settings by an allow-list of names, everything else as
"set" or "not set"; of what cannot be looked at the type of its error, never its text. Runs beside the service, with its
environment, and changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import platform
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from cryptography import x509

from chapar_chassis.ports import PublishedTopic, cluster_of, durability_of, open_store, topic_layouts
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.kafka import describe_topics
from chapar_sourcing.adapters.sqlite import stored_editions
from chapar_sourcing.editions import Editions

SHOWN = frozenset({
    "partitions", "schema_level", "log_level", "development", "kafka_replicas", "code_delivery",
    "grace_ms", "calls_max", "subscriptions_max", "connections_max", "handshake_ms", "connection_idle_ms", "bodies_max",
    "body_ms", "drain_window_ms", "drain_grace_ms",
})  # fmt: skip
"""Settings whose values are shown: numbers, switches and words from a list. Of all others only whether they are set."""
PACKAGES = ("grpcio", "protobuf", "msgspec", "aiokafka", "motor", "pymongo", "cryptography", "opentelemetry-sdk",
            "prometheus-client", "structlog")  # fmt: skip
CERTIFICATES = ("tls_cert", "tls_ca", "public_tls_cert", "kafka_ca", "mongo_ca")
DAY_SECONDS = 86_400


async def print_report(
    service: str, settings: CommonSettings, published: Sequence[PublishedTopic] | None, output: TextIO
) -> int:
    """Prints one JSON object. `published` None: a service that keeps nothing. What cannot be looked at is in `unread`,
    by part, and is no error here: 0."""
    unread: dict[str, str] = {}
    report: dict[str, object] = {
        "service": service,
        "versions": versions(service),
        "settings": shown_settings(settings),
        "disk": await _part("disk", unread, partial(asyncio.to_thread, _disk, settings.data_dir)),
        "certificates": [
            await _part(f"certificates/{name}", unread, partial(asyncio.to_thread, _certificate, name, path))
            for name in CERTIFICATES
            if (path := getattr(settings, name, None)) is not None
        ],
    }
    if published is not None:
        report["editions"] = await _part("editions", unread, partial(_editions, service, settings))
        if settings.kafka:
            report["topics"] = await _part("topics", unread, partial(_topics, service, settings, published))
    print(json.dumps({**report, "unread": unread}), file=output, flush=True)
    return 0


def shown_settings(settings: CommonSettings) -> Mapping[str, object]:
    """Each setting by name: its value where that may be shown, else "set" or "not set"."""
    shown: dict[str, object] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in SHOWN:
            shown[field.name] = value
        else:
            shown[field.name] = "set" if value else "not set"
    return shown


def versions(service: str) -> Mapping[str, str]:
    """Of Python, the service, our libraries, and what they stand on; "" where it is not installed."""
    ours = (f"chapar-{service}", "chapar-chassis", "chapar-sourcing", "chapar-contracts")
    return {"python": platform.python_version(), **{name: _version(name) for name in (*ours, *PACKAGES)}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


async def _part(name: str, unread: dict[str, str], look: Callable[[], Awaitable[Any]]) -> Any:
    """A part of the report; None, and the kind of error in `unread`, where it cannot be looked at."""
    try:
        return await look()
    except Exception as error:
        # The text may name anything: addresses, users, contents of files.
        unread[name] = type(error).__name__
        return None


def _disk(folder: Path) -> Mapping[str, int]:
    usage = shutil.disk_usage(folder)
    return {"free_bytes": usage.free, "total_bytes": usage.total}


def _certificate(setting: str, path: Path) -> Mapping[str, object]:
    """How long the first to end of a file's certificates is good for."""
    held = x509.load_pem_x509_certificates(path.read_bytes())
    ends = min(certificate.not_valid_after_utc for certificate in held)
    left = (ends - datetime.now(UTC)).total_seconds() / DAY_SECONDS
    return {"setting": setting, "ends": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "days_left": round(left, 2)}


async def _editions(service: str, settings: CommonSettings) -> Mapping[str, object]:
    found = await _read_editions(service, settings)
    beside = {
        number: one.stage.value for number, one in enumerate(found) if one.other is not None and one.stage is not None
    }
    return {"partitions": len(found), "highest_live": max(one.live for one in found), "beside": beside}


async def _read_editions(service: str, settings: CommonSettings) -> Sequence[Editions]:
    if not settings.mongo_uri:
        path = settings.data_dir / service / "store.db"
        return await stored_editions(path, settings.partitions, service=service)
    store = await open_store(settings, service)
    try:
        return [await store.editions(partition) for partition in range(settings.partitions)]
    finally:
        await store.close()


async def _topics(service: str, settings: CommonSettings, published: Sequence[PublishedTopic]) -> Sequence[object]:
    layouts = topic_layouts(settings, service, published)
    states = await describe_topics(cluster_of(settings), layouts, durability_of(settings))
    return [dataclasses.asdict(state) for state in states]
