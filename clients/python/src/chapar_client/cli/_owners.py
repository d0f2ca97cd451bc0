"""owners: who owns which partition of a service, how it goes with it, and where an operator wants it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.cli._output import Output, clock
from chapar_client.cli._reasons import UNAVAILABLE
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.owners import addresses, owners, peer_token
from chapar_client.sdk import InvalidInput, Unavailable
from chapar_client.up import OWNERS, service_of

_OWNING = "owning"


class Said(NamedTuple):
    """What a process answered; None when it is away."""

    process: str
    address: str
    answer: peer.OwnersResponse | None


class Row(NamedTuple):
    """One partition, by whoever owns it; else by the word of whoever knows most."""

    partition: int
    epoch: int
    process: str
    """Its owner by name; where its address is nobody's of this folder, the address; empty when nobody owns it."""
    phase: str
    offset: int
    lag: int
    """Offsets that its store is behind."""
    problem: str
    placed: str = ""
    """Where an operator wants it: a process by name, else an address; empty for anywhere."""
    reason: str = ""
    """Why, and who says so since when."""


class ShowsByDefault(TyperGroup):
    """`owners` alone, or with services and options, is `owners show`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the command in where none is named."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["show", *args])


def show_owners(
    services: Annotated[list[str] | None, typer.Argument(help="Services; all that own partitions by default.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    json: Json = False,
) -> None:
    """Show each partition's owner, its epoch, how far its log is and how many records its store is behind.

    Exit code 1 when a partition has no owner that is well, or a process is away.
    """

    async def work(output: Output) -> None:
        folder = data_folder(os.environ, data)
        if strangers := sorted(set(services or ()) - set(OWNERS)):
            raise InvalidInput(f"no such service: {strangers[0]!r} (one of {', '.join(OWNERS)})")
        well = True
        for service in services or OWNERS:
            well = await _shown(output, service, processes_of(folder, service), peer_token(folder, service)) and well
        if not well:
            raise typer.Exit(UNAVAILABLE)

    run_plain(work, as_json=json)


def processes_of(folder: Path, service: str) -> Mapping[str, str]:
    """Where the processes of a service answer, by name. Raises `InvalidInput`."""
    return {name: at for name, at in addresses(folder).items() if service_of(name) == service}


async def asked(processes: Mapping[str, str], token: str) -> Sequence[Said]:
    """What each process answers."""
    return await asyncio.gather(*(_ask(name, at, token) for name, at in processes.items()))


async def _shown(output: Output, service: str, processes: Mapping[str, str], token: str) -> bool:
    said = await asked(processes, token)
    for away in (one for one in said if one.answer is None):
        output.show(
            f"{away.process:<12} does not answer at {away.address}",
            style="red", service=service, process=away.process, address=away.address, state="away",
        )  # fmt: skip
    names = {one.address: one.process for one in said}
    for one in (one for one in said if one.answer is not None):
        seen = members_of(one, names)
        output.show(
            f"{one.process:<12} sees {', '.join(seen)}", service=service, process=one.process, address=one.address,
            state="answers", members=seen,
        )  # fmt: skip
    rows = rows_of(said)
    for row in rows:
        line = f"{service:<10} {row.partition:>4}  epoch {row.epoch:<5} {row.process or 'nobody':<16} {row.phase:<10}"
        line += f" offset {row.offset:<8} store behind by {row.lag}" if row.phase else ""
        line += f"  {row.problem}" if row.problem else ""
        line += f"  placed at {row.placed}: {row.reason}" if row.placed else ""
        output.show(
            line, style="green" if is_well(row) else "red",
            service=service, partition=row.partition, epoch=row.epoch, owner=row.process, phase=row.phase,
            offset=row.offset, lag=row.lag, problem=row.problem, placed=row.placed, reason=row.reason,
        )  # fmt: skip
    return bool(rows) and all(map(is_well, rows)) and all(one.answer is not None for one in said)


async def _ask(process: str, address: str, token: str) -> Said:
    try:
        return Said(process, address, await owners(address, token))
    except Unavailable:
        return Said(process, address, None)


def members_of(said: Said, names: Mapping[str, str]) -> list[str]:
    """Whom a process sees, itself first: by name, or by address; and what keeps them from owning."""
    members = said.answer.members if said.answer is not None else ()
    return [f"{names.get(m.address, m.address)}{_hindered(m)}" for m in members if m.alive and m.address]


def _hindered(member: peer.MemberSeen) -> str:
    if member.draining:
        return " (ends)"
    return " (cannot own)" if member.unfit else ""


def is_well(row: Row) -> bool:
    """Whether a partition is owned, and nothing is to be done about it."""
    return row.phase == _OWNING and not row.problem


def rows_of(said: Sequence[Said]) -> Sequence[Row]:
    """One row a partition. Who owns it at the highest epoch says so itself; of others only their last word is known."""
    names = {one.address: one.process for one in said}
    rows: dict[int, Row] = {}
    for process, _, answer in said:
        for at in answer.partitions if answer is not None else ():
            rows[at.partition] = max(
                (row for row in (rows.get(at.partition), _row(process, at, names)) if row is not None), key=_rank
            )
    return [rows[partition] for partition in sorted(rows)]


def _rank(row: Row) -> tuple[int, bool, bool]:
    return row.epoch, row.phase == _OWNING, bool(row.phase)


def _row(process: str, at: peer.PartitionOwner, names: Mapping[str, str]) -> Row:
    placed = names.get(at.placed.address, at.placed.address), _why(at.placed) if at.HasField("placed") else ""
    if at.HasField("held") and at.held.epoch >= at.epoch:
        held = at.held
        lag = max(0, held.offset - held.checkpoint)
        return Row(at.partition, held.epoch, process, held.phase, held.offset, lag, held.problem, *placed)
    owner = "" if at.released else names.get(at.address, at.address)
    return Row(at.partition, at.epoch, owner, "", -1, 0, "" if owner else "nobody owns it", *placed)


def _why(placed: peer.PartitionPlaced) -> str:
    who = f"{placed.operator}, " if placed.operator else ""
    return f"{placed.reason} ({who}{clock(placed.time_ms)})"
