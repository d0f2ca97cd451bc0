"""Packs what was found: a tar.gz of JSON files, for its owner's eyes until they hand it on."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from chapar_client.doctor._findings import Finding
from chapar_client.doctor._found import Found
from chapar_client.sdk import InvalidInput

FORMAT = 1


def write_bundle(path: Path, found: Found, what: Sequence[Finding]) -> None:
    """Writes a new file. Raises `InvalidInput` where there is one already, or none can be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}): name a new file") from None
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in _files(found, what).items():
            data = json.dumps(content, indent=1, ensure_ascii=False).encode()
            entry = tarfile.TarInfo(f"chapar-doctor/{name}.json")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))


def _files(found: Found, what: Sequence[Finding]) -> Mapping[str, object]:
    processes = [
        {"name": one.name, "service": one.service, "address": one.address, "state": one.state, "members": one.members}
        for one in found.processes
    ]
    metrics = {
        f"metrics/{one.name}": [[sample.name, sample.labels, sample.value] for sample in one.metrics]
        for one in found.processes
        if one.metrics is not None
    }
    return {
        "about": {"format": FORMAT, "time_ms": int(time.time() * 1000), "clock_ahead_ms": found.clock_ahead_ms},
        "findings": [asdict(finding) for finding in what],
        "processes": processes,
        "partitions": {service: [asdict(one) for one in rows] for service, rows in found.partitions.items()},
        "unreported": found.unreported,
        **{f"services/{service}": report for service, report in found.reports.items()},
        **metrics,
    }
