"""Topics of all services on Kafka: each service says what its own are like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chapar_client.up._child import ServiceFailed
from chapar_client.up._installation import ANY_PORT, OWNERS, Installation
from chapar_client.up._running import run_to_end

Action = Literal["apply", "check"]


async def topics(installation: Installation, action: Action) -> Sequence[Mapping[str, Any]]:
    """Applies or checks the topics of all services; one row a topic, with the service's name.

    Raises `ServiceFailed` with what every service says that refused.
    """
    ended = await asyncio.gather(*(_run(installation, service, action) for service in OWNERS))
    refusals = [said for status, said in ended if status != 0]
    if refusals:
        raise ServiceFailed("\n".join(refusal.strip() for refusal in refusals))
    return [
        {"service": service, **json.loads(line)}
        for service, (_, said) in zip(OWNERS, ended, strict=True)
        for line in said.splitlines()
        if line.startswith("{")
    ]


async def _run(installation: Installation, service: str, action: Action) -> tuple[int, str]:
    command = installation.command(service, "topics", action)
    return await run_to_end(command, installation.environment(service, listen=ANY_PORT))
