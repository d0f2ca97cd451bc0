"""pending: commands whose answer was lost."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar_client.cli._output import Output, clock
from chapar_client.cli._running import GATEWAY_DEFAULT, Gateway, Json, Profile, run
from chapar_client.sdk import Client, Refused


def pending(
    finish: Annotated[bool, typer.Option("--finish", help="Send them again, with the same ids.")] = False,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """List commands whose outcome is unknown; settle them without doing anything twice."""

    async def work(client: Client, output: Output) -> None:
        for command in await client.pending():
            outcome = "unknown"
            if finish:
                try:
                    await client.finish_pending(command)
                    outcome = "done"
                except Refused as refusal:
                    outcome = f"refused: {refusal.reason}"
            name = command.path.rpartition("/")[2]
            output.show(
                f"{clock(command.create_time_ms)}  {name:<16}  {outcome}  {command.request_id}",
                request_id=command.request_id,
                method=command.path,
                create_time_ms=command.create_time_ms,
                outcome=outcome,
            )

    run(work, profile=profile, gateway=gateway, as_json=json)
