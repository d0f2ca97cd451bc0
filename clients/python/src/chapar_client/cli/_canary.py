"""canary: two accounts of one's own that send each other messages and money for as long as somebody looks."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from chapar_client.canary import Account, CanaryMeasures, MeasuresServer, Rounds, Told, keep_flying
from chapar_client.cli._output import Output
from chapar_client.cli._reasons import REFUSED, described
from chapar_client.cli._running import GATEWAY_DEFAULT, Gateway, Json, gateway_ca, run_plain
from chapar_client.home import profile_folder
from chapar_client.sdk import ChaparError, Client, InvalidInput, StateStore


def canary(
    one: Annotated[str, typer.Option(help="Profile of one account.")] = "canary-1",
    other: Annotated[str, typer.Option(help="Profile of the other account.")] = "canary-2",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one round to the next.")] = 10.0,
    within: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds that each step may take.")] = 5.0,
    rials: Annotated[int, typer.Option(min=1, help="What is paid there and back.")] = 1_000,
    rounds: Annotated[int, typer.Option(min=0, help="End after so many rounds; 0: when asked to.")] = 0,
    metrics: Annotated[str, typer.Option(help="HOST:PORT that metrics are served at.")] = "127.0.0.1:0",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Send a message and a transfer there and back between two accounts, again and again, and measure it.

    Sign both in first (`chapar login PHONE --profile canary-1`, and canary-2), and bring some money in for one of them.
    What is under way when it ends is settled by the next canary of the same profiles. Exit code 1 when --rounds is
    given and anything failed.
    """

    async def work(output: Output) -> None:
        host, port = _address(metrics)
        if one == other:
            raise InvalidInput("a canary needs two accounts: give two profiles with --one and --other")
        measures = CanaryMeasures()
        async with AsyncExitStack() as closing:
            accounts = (await _opened(one, gateway, within, closing), await _opened(other, gateway, within, closing))
            server = _server(measures, host, port)
            closing.callback(server.close)
            output.show(
                f"Metrics at http://{server.address}/metrics; a round each {every:g} s.",
                event="flying", metrics_address=server.address,
            )  # fmt: skip
            played = Rounds(accounts, measures, _teller(output), within_s=within, rials=rials)
            await keep_flying(accounts, played, _asked_to_end(), every_s=every, count=rounds)
        output.show(f"Ended; {played.failures} steps failed.", event="ended", failures=played.failures)
        if rounds and played.failures:
            raise typer.Exit(REFUSED)

    run_plain(work, as_json=json)


async def _opened(profile: str, gateway: str, within_s: float, closing: AsyncExitStack) -> Account:
    state = StateStore(profile_folder(os.environ, profile))
    client = Client(gateway, state, ca=gateway_ca(), timeout_s=within_s)
    account = Account(await closing.enter_async_context(client))
    await account.open()
    return account


def _asked_to_end() -> asyncio.Event:
    """Set by SIGTERM and by Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _teller(output: Output) -> Told:
    def tell(stage: str, error: Exception) -> None:
        why: str = "not in time"
        fields: dict[str, object] = {"error": "late"}
        if isinstance(error, ChaparError):
            _, why, fields = described(error)
        output.show(f"{stage}: {why}", style="red", event="failed", stage=stage, **fields)

    return tell


def _server(measures: CanaryMeasures, host: str, port: int) -> MeasuresServer:
    try:
        return MeasuresServer(measures, host, port)
    except OSError as error:
        raise InvalidInput(f"nobody may listen at {host}:{port} ({error.strerror}): give another --metrics") from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InvalidInput(f"not HOST:PORT: {text!r}")
    return host, int(port)
