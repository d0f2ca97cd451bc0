"""What all commands share: their options, and how one runs from settings to exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import INTERRUPTED, described
from chapar_client.home import profile_folder
from chapar_client.sdk import ChaparError, Client, StateStore

GATEWAY_DEFAULT = "127.0.0.1:7400"
OPERATOR_DEFAULT = "127.0.0.1:7401"

Profile = Annotated[
    str, typer.Option("--profile", envvar="CHAPAR_PROFILE", help="Whose session: a folder under $CHAPAR_HOME/profiles.")
]
Gateway = Annotated[
    str,
    typer.Option(
        "--gateway", envvar="CHAPAR_GATEWAY", help="The gateway's tls://host:port; on this machine host:port."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds until a call is given up.")]

Work = Callable[[Client, Output], Awaitable[None]]


def run(work: Work, *, profile: str, gateway: str, as_json: bool, timeout_s: float = 15.0) -> None:
    """Runs a command against a gateway with a profile's session."""

    async def with_client(output: Output) -> None:
        folder = profile_folder(os.environ, profile)
        async with Client(gateway, StateStore(folder), ca=gateway_ca(), timeout_s=timeout_s) as client:
            await work(client, output)

    run_plain(with_client, as_json=as_json)


def gateway_ca() -> Path | None:
    """The file of authorities that sign gateways' certificates, where it is not one that everybody knows."""
    named = os.environ.get("CHAPAR_GATEWAY_CA", "")
    return Path(named) if named else None


def run_plain(work: Callable[[Output], Awaitable[None]], *, as_json: bool) -> None:
    """Runs a command that needs no profile; ends the process with a documented code when it fails."""
    output = Output(as_json=as_json)

    async def main() -> None:
        await work(output)

    try:
        asyncio.run(main())
    except ChaparError as error:
        code, line, fields = described(error)
        output.fail(line, **fields)
        raise typer.Exit(code) from None
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None


def asked(question: str, *, to_errors: bool) -> str:
    """Asks the terminal; the first Ctrl-C ends the program, though an event loop runs around the question."""
    if threading.current_thread() is not threading.main_thread():
        return str(typer.prompt(question, err=to_errors))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(typer.prompt(question, err=to_errors))
    finally:
        signal.signal(signal.SIGINT, before)
