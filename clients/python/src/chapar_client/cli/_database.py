"""database: what the services' databases on MongoDB must be like; made ready, or only looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import REFUSED
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.up import DatabaseAction, Installation, ServiceFailed, databases

database = typer.Typer(
    name="database",
    help="Databases of stores and keys on MongoDB. Processes look at theirs when they start and change nothing.",
    no_args_is_help=True,
)
Mongo = Annotated[str, typer.Option(help="mongodb://HOST:PORT/, or several hosts separated by commas.")]
Data = Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")]

_PASSED_ON = ("CHAPAR_MONGO_DATABASE", "CHAPAR_MONGO_USER", "CHAPAR_MONGO_CA", "CHAPAR_SECRETS_DIR")
"""Who the operator is to the database, and what its parts are called."""


@database.command()
def prepare(mongo: Mongo, data: Data = None, json: Json = False) -> None:
    """Create the collections and indexes that are missing. Repeating it changes nothing."""
    _run("prepare", mongo, data, as_json=json)


@database.command()
def check(mongo: Mongo, data: Data = None, json: Json = False) -> None:
    """Say all that is wrong with the databases, as the services would at their start; change nothing."""
    _run("check", mongo, data, as_json=json)


def _run(action: DatabaseAction, mongo: str, data: Path | None, *, as_json: bool) -> None:
    async def work(output: Output) -> None:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        installation = Installation(data_folder(os.environ, data), mongo=mongo, extra_environment=passed_on)
        try:
            rows = await databases(installation, action)
        except ServiceFailed as refused:
            for line in str(refused).splitlines():
                output.fail(line)
            raise typer.Exit(REFUSED) from None
        for row in rows:
            output.show(f"{row['service']:<10} {row['database']} is ready", **row)

    run_plain(work, as_json=as_json)
