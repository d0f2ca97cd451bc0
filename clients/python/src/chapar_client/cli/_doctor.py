"""doctor: what is wrong with an installation, and a bundle for whoever is to look into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._backup import Data, Kafka, Mongo, Partitions, passed_on
from chapar_client.cli._output import Output
from chapar_client.cli._reasons import REFUSED
from chapar_client.cli._running import Json, run_plain
from chapar_client.doctor import findings, look, write_bundle
from chapar_client.home import data_folder
from chapar_client.up import Installation


def doctor(
    data: Data = None,
    kafka: Kafka = "",
    partitions: Partitions = 16,
    mongo: Mongo = "",
    to: Annotated[Path | None, typer.Option("--to", help="A new file for the bundle, such as doctor.tar.gz.")] = None,
    json: Json = False,
) -> None:
    """Say what is wrong with the installation that `chapar up` runs on this machine, and what to do about it.

    With --to everything that was found goes into a bundle that can be handed on: versions, which settings are set,
    members, owners, lags, metrics, topics, editions, certificates, disk. No secret, no address of a database, no text
    that anybody wrote is in it. Exit code 1 when something is wrong.
    """

    async def work(output: Output) -> None:
        folder = data_folder(os.environ, data)
        found = await look(
            Installation(folder, kafka=kafka, partitions=partitions, mongo=mongo, extra_environment=passed_on())
        )
        said = findings(found)
        if to is not None:
            write_bundle(to, found, said)
        for one in said:
            output.show(
                f"{one.what}\n    {one.do}", style="red" if one.level == "wrong" else "yellow",
                event="finding", level=one.level, about=one.about, what=one.what, do=one.do,
            )  # fmt: skip
        wrong = sum(one.level == "wrong" for one in said)
        summary = f"{wrong} wrong" if wrong else "Nothing is wrong"
        output.show(
            f"{summary}; {len(found.processes)} processes looked at{f', bundle in {to}' if to else ''}.",
            style="red" if wrong else "green",
            event="summary", wrong=wrong, processes=len(found.processes), bundle=str(to or ""),
        )  # fmt: skip
        if wrong:
            raise typer.Exit(REFUSED)

    run_plain(work, as_json=json)
