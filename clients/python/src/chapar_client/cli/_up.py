"""up: all five services on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from chapar_client.cli._output import Output
from chapar_client.cli._running import GATEWAY_DEFAULT, OPERATOR_DEFAULT, Json, run_plain
from chapar_client.home import data_folder
from chapar_client.terminal import cleaned
from chapar_client.up import Installation, LogLine, Supervisor, replicas_of, service_of

_COLOURS = {"identity": "cyan", "messaging": "blue", "presence": "magenta", "payments": "yellow", "gateway": "green"}
_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}
_UNSHOWN = {"event", "level", "service", "timestamp"}
_UNTOLD = {"partition_begins", "partition_ends"}
"""Events that only `--json` shows: sixteen a service at each start."""


def up(
    data: Annotated[Path | None, typer.Option("--data", help="The data folder; made when it is not there.")] = None,
    kafka: Annotated[str, typer.Option(help="host:port of a Kafka broker, for journals and streams.")] = "",
    mongo: Annotated[str, typer.Option(help="mongodb://HOST:PORT/ of a database, for stores and keys.")] = "",
    listen: Annotated[str, typer.Option(help="Where clients call.")] = GATEWAY_DEFAULT,
    operator_listen: Annotated[str, typer.Option(help="Where operators call.")] = OPERATOR_DEFAULT,
    replicas: Annotated[
        str,
        typer.Option(
            help="Processes a service, such as gateway=2,messaging=3,presence=2; all but gateways need --kafka and"
            " --mongo."
        ),
    ] = "",
    otlp: Annotated[
        str, typer.Option(help="host:port of an OpenTelemetry collector (OTLP over gRPC), for traces of all calls.")
    ] = "",
    json: Json = False,
) -> None:
    """Run the five services on one data folder, until Ctrl-C."""

    async def work(output: Output) -> None:
        folder = data_folder(os.environ, data)
        console = Logs(as_json=json)
        installation = Installation(
            folder,
            kafka=kafka,
            mongo=mongo,
            listen=listen,
            operator_listen=operator_listen,
            replicas=replicas_of(replicas),
            extra_environment={"CHAPAR_OTLP": otlp, "CHAPAR_TRACE_PER_MILLE": "1000"} if otlp else None,
        )
        installation.check_replicas()
        output.note(f"Data in {folder}")
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        starting = asyncio.create_task(_supervised(installation, console, output, ended, listen), name="supervisor")
        ending = asyncio.create_task(ended.wait(), name="end asked for")
        await asyncio.wait([starting, ending], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done() and not console.running:
            starting.cancel()
        ending.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled():
            starting.result()

    run_plain(work, as_json=json)


async def _supervised(
    installation: Installation, console: Logs, output: Output, ended: asyncio.Event, listen: str
) -> None:
    async with Supervisor(installation, console.line, on_restart=console.restart) as supervisor:
        console.running = True
        hint = "" if listen == GATEWAY_DEFAULT else f" --gateway {supervisor.gateway_address}"
        gateways = supervisor.gateway_addresses
        listeners = "The gateway listens" if len(gateways) == 1 else "Gateways listen"
        output.show(
            f"Ready. {listeners} on {', '.join(gateways)}, for operators on {supervisor.operator_address}.\n"
            f"Next, in another terminal: chapar login 09121234567{hint}",
            style="bold green",
            event="up",
            gateway_address=supervisor.gateway_address,
            gateway_addresses=list(gateways),
            operator_address=supervisor.operator_address,
            data_dir=str(installation.data_dir),
        )
        watching = asyncio.create_task(supervisor.failed(), name="failures")
        ending = asyncio.create_task(ended.wait(), name="end asked for")
        await asyncio.wait([watching, ending], return_when=asyncio.FIRST_COMPLETED)
        output.note("Ending: gateways first, then the others.")
        ending.cancel()
        watching.cancel()
        await asyncio.wait([watching, ending])


class Logs:
    """Shows the services' lines, prefixed and coloured; sign-in codes so that nobody misses them."""

    def __init__(self, *, as_json: bool) -> None:
        self.running = False
        self._as_json = as_json
        self._console = Console(markup=False, highlight=False, soft_wrap=True, emoji=False)

    def line(self, line: LogLine) -> None:
        """One line of a service."""
        if self._as_json:
            print(line.text, flush=True)
            return
        if line.event == "sign_in_code":
            phone, code = cleaned(str(line.fields.get("phone", ""))), cleaned(str(line.fields.get("code", "")))
            self._console.print(Text(f"\n    Code for {phone}:  {code}\n", style="bold white on dark_green"))
            return
        if line.event in _UNTOLD:
            return
        prefix = Text(f"{_moment(line)}  {line.service:<9} | ", style=_COLOURS[service_of(line.service)])
        level = str(line.fields.get("level", ""))
        self._console.print(prefix + Text(_told(line), style=_LEVELS.get(level, "")))

    def restart(self, service: str, status: int, pause_s: float) -> None:
        """A service died and comes back."""
        if not self._as_json:
            at = f"{datetime.now().astimezone():%H:%M:%S}"
            told = f"{at}  {service} ended with status {status}; starting it again in {pause_s:.1f} s"
            self._console.print(Text(told, style="bold red"))


def _moment(line: LogLine) -> str:
    """The local time of day at which a line was written, or came."""
    try:
        written = datetime.fromisoformat(str(line.fields.get("timestamp", "")))
    except ValueError:
        written = datetime.now()
    return f"{written.astimezone():%H:%M:%S}"


def _told(line: LogLine) -> str:
    if not line.fields:
        return cleaned(line.text)
    details = " ".join(f"{name}={value}" for name, value in line.fields.items() if name not in _UNSHOWN)
    return cleaned(f"{line.event}  {details}")
