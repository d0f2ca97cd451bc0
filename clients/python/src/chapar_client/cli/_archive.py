"""archive: a service's journal into sealed segments, beside the running service."""

from __future__ import annotations

import os
from json import loads
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import REFUSED
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.sdk import InvalidInput
from chapar_client.up import ANY_PORT, OWNERS, Installation, run_to_end

_ARCHIVE_S_MAX = 24 * 3600.0


def archive(
    service: Annotated[str, typer.Argument(help="identity, messaging, presence or payments.")],
    to: Annotated[Path, typer.Option("--to", help="The archive's folder; made when it is not there.")],
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    kafka: Annotated[str, typer.Option(help="host:port of the Kafka broker that holds the journals.")] = "",
    json: Json = False,
) -> None:
    """Continue the archive of a service's journal with sealed segments; the journal stays as it is.

    The service may run. What is there is read and checked first; `chapar verify-log --segments` checks it again.
    """

    async def work(output: Output) -> None:
        if service not in OWNERS:
            raise InvalidInput(f"no such service: {service!r} (one of {', '.join(OWNERS)})")
        installation = Installation(data_folder(os.environ, data), kafka=kafka)
        command = installation.command(service, "archive", str(to.absolute()))
        environment = installation.environment(service, listen=ANY_PORT)
        status, said = await run_to_end(command, environment, timeout_s=_ARCHIVE_S_MAX)
        rows = [loads(line) for line in said.splitlines() if line.startswith("{")]
        if status != 0:
            output.fail(said.strip().splitlines()[-1] if said.strip() else "the archive could not be written")
            raise typer.Exit(REFUSED)
        written = sum(row["written"] for row in rows)
        output.show(
            f"Records of {service} written: {written}; the archive is in {to / service}",
            service=service,
            written=written,
            partitions=rows,
        )

    run_plain(work, as_json=json)
