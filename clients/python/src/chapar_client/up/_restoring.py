"""A backup into an empty installation: every service restores its own part, and none runs until all are done.

The folder `restoring` in the data folder stands from before the first write until after the last: as long as it is
there no owner starts, and running the same command again goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chapar_client.up._asking import databases, holdings, topics
from chapar_client.up._backing_up import BACKED_UP
from chapar_client.up._child import ServiceFailed
from chapar_client.up._installation import ANY_PORT, SERVICES, Installation
from chapar_client.up._lock import locked_folder
from chapar_client.up._manifest import read_manifest
from chapar_client.up._running import run_to_end

RESTORING = "restoring"
RENEWED = "position.key"
"""Tells clients how far they have seen the logs: of the end that is lost nobody must hear any more."""
RESTORE_S_MAX = 24 * 3600.0


async def restore(
    installation: Installation, folder: Path, on_service: Callable[[str], None] = lambda _: None
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Restores all services from the folder, an absolute path; by service what it says of each partition.

    Raises `ServiceFailed`, `FolderInUse`.
    """
    data = installation.data_dir
    manifest = read_manifest(folder, BACKED_UP)
    installation = replace(installation, partitions=manifest["partitions"])
    if not (data / "secrets" / BACKED_UP[0] / "master.key").is_file():
        raise ServiceFailed(f"put the secrets of the installation that was backed up into {data / 'secrets'} first")
    if not (data / RESTORING).exists() and (there := await holdings(installation)):
        raise ServiceFailed(f"there is {', '.join(there)} already: restore into an empty installation")
    with locked_folder(data):
        (data / RESTORING).mkdir(mode=0o700, exist_ok=True)
        if installation.kafka:
            await topics(installation, "apply")
        if installation.mongo:
            await databases(installation, "prepare")
        rows = {}
        for service in BACKED_UP:
            on_service(service)
            rows[service] = await _restored(installation, service, folder)
        for service in SERVICES:
            (data / "secrets" / service / RENEWED).unlink(missing_ok=True)
        # In one step: half of it would look like another restore.
        shutil.rmtree((data / RESTORING).rename(data / f"{RESTORING}.done"))
    return rows


async def _restored(installation: Installation, service: str, folder: Path) -> Sequence[Mapping[str, Any]]:
    command = installation.command(service, "restore", str(folder))
    environment = installation.environment(service, listen=ANY_PORT)
    status, said = await run_to_end(command, environment, timeout_s=RESTORE_S_MAX)
    if status != 0:
        lines = said.strip().splitlines()
        raise ServiceFailed(lines[-1] if lines else f"{service} was not restored")
    return [row for line in said.splitlines() if line.startswith("{") and "partition" in (row := json.loads(line))]
