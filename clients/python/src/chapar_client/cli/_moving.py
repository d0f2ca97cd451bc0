"""owners move: has a process own a partition, for a reason that is kept, and waits until it does."""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.cli._output import Output
from chapar_client.cli._owners import asked, processes_of
from chapar_client.cli._reasons import REFUSED, UNKNOWN
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.owners import owners, peer_token, place
from chapar_client.sdk import InvalidInput, Unavailable
from chapar_client.up import OWNERS

WAIT_S = 60.0
_POLL_S = 0.05


class Move(NamedTuple):
    """What is asked for, and who can be asked."""

    service: str
    request: peer.PlaceRequest
    processes: Mapping[str, str]
    """Address by name."""
    token: str

    @property
    def target(self) -> str:
        """Where it is to go, by name where it has one here."""
        to = self.request.address
        return next((name for name, at in self.processes.items() if at == to), to)

    @property
    def what(self) -> str:
        """The partition, in words."""
        return f"{self.service} {self.request.partition}"


def move(
    partition: Annotated[int, typer.Argument(help="The partition's number.", min=0, max=2**31 - 1)],
    service: Annotated[str, typer.Option("--service", help=f"One of {', '.join(OWNERS)}.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever wonders later: at most 200 characters.")],
    to: Annotated[str | None, typer.Option("--to", help="The process that should own it: name, or host:port.")] = None,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="It may be anywhere again.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds until it is waited for no more.")
    ] = WAIT_S,
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    json: Json = False,
) -> None:
    """Have a process own a partition from now on; the others share the rest. Waits until it does.

    That holds until it is said otherwise. While that process is away or cannot own anything, others do; half a minute
    after it came back it has the partition again. With --anywhere whoever should have it takes it over, as ever.
    """

    async def work(output: Output) -> None:
        asked_for = _move(data_folder(os.environ, data), service, partition, to, anywhere, reason)
        began_s = time.monotonic()
        told = await _said(output, asked_for)
        waiting = _gone(asked_for, told) if anywhere else _arrived(output, asked_for)
        try:
            async with asyncio.timeout(timeout_s):
                at = await waiting
        except TimeoutError:
            output.fail(
                f"{asked_for.what} is not where it should be after {timeout_s:g} s; it still is to go there:"
                f" `chapar owners {service}` shows how far it is", error="not_yet",
            )  # fmt: skip
            raise typer.Exit(REFUSED) from None
        _show(output, asked_for, at, time.monotonic() - began_s)

    run_plain(work, as_json=json)


def _move(folder: Path, service: str, partition: int, to: str | None, anywhere: bool, reason: str) -> Move:
    if service not in OWNERS:
        raise InvalidInput(f"no such service: {service!r} (one of {', '.join(OWNERS)})")
    if (to is None) is not anywhere:
        raise InvalidInput("say where with --to, or --anywhere")
    processes = processes_of(folder, service)
    address = "" if to is None else processes.get(to, to)
    if address and ":" not in address:
        raise InvalidInput(
            f"{service} has no process {to!r} here (one of {', '.join(processes)}), and it is no address"
        )
    request = peer.PlaceRequest(partition=partition, address=address, reason=reason, operator=_who())
    return Move(service, request, processes, peer_token(folder, service))


def _who() -> str:
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


async def _said(output: Output, move: Move) -> str:
    """Has one process after the other say it, until one does; the address of that. Ends the command where it is
    refused."""
    there = [one.address for one in await asked(move.processes, move.token) if one.answer is not None]
    if not there:
        raise Unavailable(f"no process of {move.service} answers")
    problem = ""
    for address in there:
        try:
            refusal = await place(address, move.token, move.request)
        except Unavailable as error:
            problem = str(error)
            continue
        if refusal:
            output.fail(f"{move.what} stays where it is: {refusal}", error="refused")
            raise typer.Exit(REFUSED)
        return address
    output.fail(f"{problem}: it may have been told; the same command again does no harm", error="unavailable")
    raise typer.Exit(UNKNOWN)


async def _arrived(output: Output, move: Move) -> peer.PartitionOwner:
    """Returns once the target owns it, as it says itself."""
    before = ""
    while True:
        try:
            answer = await owners(move.request.address, move.token)
        except Unavailable as error:
            now = str(error)
        else:
            at = answer.partitions[move.request.partition]
            if at.held.phase == "owning" and at.held.epoch >= at.epoch:
                return at
            now = _state(move, at)
        if now != before:
            output.note(f"{move.what}: {now}")
            before = now
        await asyncio.sleep(_POLL_S)


def _state(move: Move, at: peer.PartitionOwner) -> str:
    names = {address: name for name, address in move.processes.items()}
    if at.HasField("held"):
        return f"{move.target} takes it over ({at.held.phase})"
    if at.released or not at.address:
        return "released"
    return f"{names.get(at.address, at.address)} owns it"


async def _gone(move: Move, told: str) -> peer.PartitionOwner:
    """Returns once the process that was told knows that it may be anywhere."""
    while True:
        with suppress(Unavailable):
            at = (await owners(told, move.token)).partitions[move.request.partition]
            if not at.HasField("placed"):
                return at
        await asyncio.sleep(_POLL_S)


def _show(output: Output, move: Move, at: peer.PartitionOwner, seconds: float) -> None:
    if move.request.address:
        line = f"{move.what}: {move.target} owns it at epoch {at.held.epoch}, {seconds:.2f} s after it was asked for"
    else:
        line = f"{move.what} may be anywhere again; whoever should have it takes it over within a minute"
    output.show(
        line, style="green", service=move.service, partition=move.request.partition, placed=move.target,
        address=move.request.address, epoch=max(at.held.epoch, at.epoch), seconds=round(seconds, 3),
    )  # fmt: skip
