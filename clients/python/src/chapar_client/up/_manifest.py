"""What a backup says of itself: one file with a sum over it, written last and read first.

The sum tells damage and mixed copies; whoever can write to a backup can write that, too. Copies are kept from writers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chapar_client.up._child import ServiceFailed

MANIFEST = "backup.json"
FORMAT = 1
BYTES_MAX = 64 * 1024 * 1024
PARTITIONS_MAX = 65_536
_JOURNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,248})?")


def write_manifest(folder: Path, fields: Mapping[str, Any]) -> None:
    """Writes it durably, in place of an older one."""
    whole = {"format": FORMAT, **fields}
    text = json.dumps({**whole, "sum": _sum(whole)}, indent=1) + "\n"
    path = folder / MANIFEST
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    parent = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def read_manifest(folder: Path, services: tuple[str, ...]) -> Mapping[str, Any]:
    """The manifest, whole and of a form that this program knows. Raises `ServiceFailed`."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            fields = json.loads(file.read(BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        raise ServiceFailed(f"{folder} holds no whole backup: {MANIFEST} is missing or cannot be read") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ServiceFailed(f"{path} is of a format that this program does not read: use the release that wrote it")
    said = fields.pop("sum", "")
    if said != _sum(fields) or not _is_sound(fields, services):
        raise ServiceFailed(f"{path} is damaged: what it says is not what was written. Take another copy")
    return fields


def _sum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _is_sound(fields: Mapping[str, Any], services: tuple[str, ...]) -> bool:
    count, parts = fields.get("partitions"), fields.get("services")
    if not isinstance(count, int) or not 1 <= count <= PARTITIONS_MAX or not isinstance(parts, dict):
        return False
    return set(parts) == set(services) and all(_is_part(part, count) for part in parts.values())


def _is_part(part: Any, count: int) -> bool:
    try:
        numbers = [row["partition"] for row in part["partitions"]]
        whole = all(isinstance(row["offset"], int) and isinstance(row["hash"], str) for row in part["partitions"])
        named = isinstance(part["journal_id"], str) and _JOURNAL_ID.fullmatch(part["journal_id"]) is not None
        return whole and named and sorted(numbers) == [*range(count)] and isinstance(part["prints"], dict)
    except (KeyError, TypeError):
        return False
