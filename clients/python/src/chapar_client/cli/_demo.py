"""demo: a whole installation in a temporary folder, and a story played on it."""

from __future__ import annotations

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import MISMATCH
from chapar_client.cli._running import Json, run_plain
from chapar_client.demo import play


def demo(json: Json = False) -> None:
    """Play a story with a handful of people, one service killed in the middle, and check every log at the end."""

    async def work(output: Output) -> None:
        if not await play(output.show, output.note):
            raise typer.Exit(MISMATCH)

    run_plain(work, as_json=json)
