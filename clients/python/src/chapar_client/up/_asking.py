"""What all services need of Kafka and MongoDB: each service says what its own is like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chapar_client.up._child import ServiceFailed
from chapar_client.up._installation import ANY_PORT, OWNERS, Installation
from chapar_client.up._running import run_to_end

Action = Literal["apply", "check"]
DatabaseAction = Literal["prepare", "check"]


async def topics(installation: Installation, action: Action) -> Sequence[Mapping[str, Any]]:
    """Applies or checks the topics of all services; one row a topic, with the service's name.

    Raises `ServiceFailed` with what every service says that refused.
    """
    return await _asked(installation, "topics", action)


async def databases(installation: Installation, action: DatabaseAction) -> Sequence[Mapping[str, Any]]:
    """Prepares or checks the databases of all services; one row a database, with the service's name.

    Raises `ServiceFailed` with what every service says that refused.
    """
    return await _asked(installation, "database", action)


async def holdings(installation: Installation) -> Sequence[str]:
    """Names of all that there is of any service. Raises `ServiceFailed`."""
    return [name for row in await _asked(installation, "holdings") for name in row["holdings"]]


async def report_of(installation: Installation, service: str) -> tuple[int, Mapping[str, Any] | None]:
    """What a service says of itself and of what it stands on; with its exit status, None where it cannot."""
    status, said = await _run(installation, service, ("doctor",))
    found = rows(said)
    return status, found[-1] if status == 0 and found else None


async def _asked(installation: Installation, *arguments: str) -> Sequence[Mapping[str, Any]]:
    ended = await asyncio.gather(*(_run(installation, service, arguments) for service in OWNERS))
    refusals = [said for status, said in ended if status != 0]
    if refusals:
        raise ServiceFailed("\n".join(refusal.strip() for refusal in refusals))
    return [{"service": service, **row} for service, (_, said) in zip(OWNERS, ended, strict=True) for row in rows(said)]


def rows(said: str) -> Sequence[Mapping[str, Any]]:
    """The rows among the lines of a command; what it logs beside them is none."""
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [row for row in found if "level" not in row]


async def _run(installation: Installation, service: str, arguments: Sequence[str]) -> tuple[int, str]:
    command = installation.command(service, *arguments)
    return await run_to_end(command, installation.environment(service, listen=ANY_PORT))
