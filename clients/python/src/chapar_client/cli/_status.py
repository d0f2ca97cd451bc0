"""status: are the five there, ready, and how far behind?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import UNAVAILABLE
from chapar_client.cli._running import Json, run_plain
from chapar_client.doctor import Process, look_at_processes
from chapar_client.home import data_folder
from chapar_client.owners import endpoints
from chapar_client.up import GATEWAY

_FIELDS: Mapping[str, str] = {
    "owned": "chapar_partitions_owned",
    "troubled": "chapar_partitions_troubled",
    "members": "chapar_members_alive",
    "store_lag": "chapar_projection_lag_offsets",
    "reactor_lag_seconds": "chapar_reactor_lag_seconds",
    "live": "chapar_watchers",
}
_GATEWAY_FIELDS: Mapping[str, str] = {
    "live": "chapar_subscriptions_open",
    "calls": "chapar_calls_in_flight",
    "revocations_age_seconds": "chapar_revocations_age_seconds",
}


def status(
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    json: Json = False,
) -> None:
    """Show the health of the processes that `chapar up` runs on this machine: what each owns, whom it sees, how far its
    store and its reactors are behind, and how many live views are open."""

    async def work(output: Output) -> None:
        processes = await look_at_processes(endpoints(data_folder(os.environ, data)))
        for one in processes:
            fields = fields_of(one)
            output.show(
                f"{one.name:<12}  {one.state:<12}  {one.address:<21}  {', '.join(_words(one, fields))}".rstrip(),
                style="green" if one.state == "ready" else "red",
                service=one.name, state=one.state, address=one.address, **fields,
            )  # fmt: skip
        if not all(one.state == "ready" for one in processes):
            raise typer.Exit(UNAVAILABLE)

    run_plain(work, as_json=json)


def fields_of(process: Process) -> Mapping[str, float]:
    """What its metrics say, by name; of several partitions or reactors the worst. Empty where they cannot be read."""
    names = _GATEWAY_FIELDS if process.service == GATEWAY else _FIELDS
    found = {field: process.most(metric) for field, metric in names.items()}
    return {field: value for field, value in found.items() if value is not None}


def _words(process: Process, fields: Mapping[str, float]) -> Sequence[str]:
    said = {
        "owned": "owns {:.0f}", "troubled": "{:.0f} in trouble", "members": "sees {:.0f}",
        "store_lag": "store behind by {:.0f}", "reactor_lag_seconds": "reactors by {:.1f} s", "live": "live {:.0f}",
        "calls": "calls {:.0f}", "revocations_age_seconds": "revocations {:.1f} s old",
    }  # fmt: skip
    shown = (said[field].format(value) for field, value in fields.items() if field != "troubled" or value)
    return [*shown]
