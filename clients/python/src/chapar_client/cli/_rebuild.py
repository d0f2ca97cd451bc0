"""rebuild: a service's store built anew from its log, beside the one that is used, and served if nothing differs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.cli._output import Output
from chapar_client.cli._owners import asked, is_well, processes_of, rows_of
from chapar_client.cli._reasons import REFUSED, UNAVAILABLE
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.owners import peer_token, rebuild
from chapar_client.sdk import InvalidInput, Unavailable

_OWNERS = ("identity", "messaging", "presence", "payments")
_MOVES_S_MAX = 5.0
"""A partition that moves has no owner meanwhile; for so long that is waited for."""
TURNS_MAX = 100
"""How often processes are asked, one after the other."""
_PROGRESS = (peer.REBUILD_PHASE_DOCUMENTS, peer.REBUILD_PHASE_ROWS, peer.REBUILD_PHASE_COMPARING)
_WELL = (peer.REBUILD_PHASE_SWITCHED, peer.REBUILD_PHASE_DROPPED)


def rebuild_store(
    service: Annotated[str, typer.Argument(help="identity, messaging, presence or payments.")],
    partition: Annotated[list[int] | None, typer.Option("--partition", help="Only these; may be repeated.")] = None,
    switch_back: Annotated[bool, typer.Option("--switch-back", help="Serve the kept edition again.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Delete whatever stands beside the served edition.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    json: Json = False,
) -> None:
    """Build a running service's store anew from its log, compare, and serve it; the old one is kept to switch back to.

    The service goes on meanwhile. One process after the other is asked for the partitions that it owns then; for one
    that moves meanwhile its next owner is asked. Cut short, it goes on where it was when it is asked for again. Exit
    code 1 when anything differs (nothing is changed then), or nothing could be done.
    """

    async def work(output: Output) -> None:
        folder = data_folder(os.environ, data)
        if service not in _OWNERS:
            raise InvalidInput(f"no such service: {service!r} (one of {', '.join(_OWNERS)})")
        step, token = _step(switch_back, drop), peer_token(folder, service)
        with Shown(output) as shown:
            try:
                await _in_turn(processes_of(folder, service), token, step, partition or (), shown)
            except Unavailable as error:
                output.fail(
                    f"{error}: what was built is kept, and the same command goes on with it. Is `chapar up` running?",
                    error="unavailable",
                )
                raise typer.Exit(UNAVAILABLE) from None
        if shown.idle and not (switch_back or drop):
            output.note(
                "The edition before is still kept: --switch-back serves it again, --drop makes room for another."
            )
        if not shown.well:
            raise typer.Exit(REFUSED)

    run_plain(work, as_json=json)


async def _in_turn(
    processes: Mapping[str, str], token: str, step: peer.RebuildStep.ValueType, partitions: Sequence[int], shown: Shown
) -> None:
    """Asks each process for what it owns when its turn has come, until nothing is left or one can go no further.

    Raises `Unavailable`.
    """
    shares = await _owners(processes, token, partitions)
    left = {number for _, share in shares for number in share}
    for _ in range(TURNS_MAX):
        address, share = shares[0]
        async with aclosing(rebuild(address, token, step, share)) as responses:
            async for response in responses:
                shown.take(response)
        left -= shown.ended
        if shown.stopped or not left:
            return
        shares = await _owners(processes, token, sorted(left))
    raise Unavailable(f"partition {min(left)} moves again and again")


async def _owners(
    processes: Mapping[str, str], token: str, partitions: Sequence[int]
) -> Sequence[tuple[str, Sequence[int]]]:
    """Whom to ask for which partitions; one process alone for all that it is asked for, as it knows best.

    Raises `Unavailable` where a process is away, or one of the partitions has had no owner here for a while.
    """
    if len(processes) == 1:
        return [(address, partitions) for address in processes.values()]
    if not processes:
        raise Unavailable("no process of the service runs here")
    until_s = time.monotonic() + _MOVES_S_MAX
    while True:
        try:
            return await _shares(processes, token, partitions)
        except Unavailable:
            if time.monotonic() > until_s:
                raise
        await asyncio.sleep(_MOVES_S_MAX / 50)


async def _shares(
    processes: Mapping[str, str], token: str, partitions: Sequence[int]
) -> Sequence[tuple[str, Sequence[int]]]:
    """As they are now."""
    said = await asked(processes, token)
    if away := [one for one in said if one.answer is None]:
        raise Unavailable(f"{away[0].process} at {away[0].address} does not answer")
    rows = {row.partition: row for row in rows_of(said)}
    shares: dict[str, list[int]] = {address: [] for address in processes.values()}
    for number in partitions or rows:
        if number not in rows:
            raise InvalidInput(f"the service has no partition {number}")
        if not is_well(rows[number]):
            raise Unavailable(f"nobody owns partition {number} now, or not well")
        shares[processes[rows[number].process]].append(number)
    return [(address, share) for address, share in shares.items() if share]


def _step(switch_back: bool, drop: bool) -> peer.RebuildStep.ValueType:
    if switch_back and drop:
        raise InvalidInput("either --switch-back or --drop")
    if switch_back:
        return peer.REBUILD_STEP_SWITCH_BACK
    return peer.REBUILD_STEP_DROP if drop else peer.REBUILD_STEP_REBUILD


class Shown:
    """What a person or a program sees of it: a bar a partition and phase, a line a result."""

    def __init__(self, output: Output) -> None:
        self.ended: set[int] = set()
        """Partitions that need nobody any more."""
        self._output = output
        self._results = 0
        self._failed = self._stopped = False
        self._moved: set[int] = set()
        self._tasks: dict[tuple[str, int], TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True),
            disable=output.as_json, transient=True,
        )  # fmt: skip

    def __enter__(self) -> Shown:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @property
    def well(self) -> bool:
        """Whether something was done, and all of it ended well."""
        return self._results > 0 and not self._failed and self._moved <= self.ended

    @property
    def stopped(self) -> bool:
        """Whether it went no further: then it would not at others either."""
        return self._stopped

    @property
    def idle(self) -> bool:
        """Whether nothing was to be done."""
        return not self._results and not self._failed

    def take(self, response: peer.RebuildResponse) -> None:
        """Shows one response."""
        phase = peer.RebuildPhase.Name(response.phase).removeprefix("REBUILD_PHASE_").lower()
        if response.phase in _PROGRESS:
            self._progress(phase, response)
            return
        if response.phase == peer.REBUILD_PHASE_MOVED:
            self._moved.add(response.partition)
        elif response.phase != peer.REBUILD_PHASE_FAILED:
            self.ended.add(response.partition)
        self._results += response.phase in _WELL
        self._stopped |= response.phase == peer.REBUILD_PHASE_FAILED
        self._failed |= response.phase in (peer.REBUILD_PHASE_DIFFERENT, peer.REBUILD_PHASE_FAILED)
        self._output.show(
            _line(response),
            style="green" if response.phase in _WELL else "yellow" if response.phase in _NEITHER else "red",
            partition=response.partition,
            edition=response.edition,
            phase=phase,
            compared=response.done,
            differences=response.differences,
            different_keys=list(response.different_keys),
            problem=response.problem,
        )

    def _progress(self, phase: str, response: peer.RebuildResponse) -> None:
        place = (phase, response.partition)
        if place not in self._tasks:
            self._tasks[place] = self._bars.add_task(f"partition {response.partition} {phase}")
        self._bars.update(self._tasks[place], completed=response.done, total=response.total or None)


_NEITHER = (peer.REBUILD_PHASE_SKIPPED, peer.REBUILD_PHASE_MOVED)
_LINES: dict[int, Callable[[peer.RebuildResponse], str]] = {
    peer.REBUILD_PHASE_SWITCHED: lambda r: f"serves edition {r.edition} now; {r.done} documents and rows are the same",
    peer.REBUILD_PHASE_DIFFERENT: lambda r: f"edition {r.edition} differs in {r.differences} keys; nothing was changed",
    peer.REBUILD_PHASE_SKIPPED: lambda r: f"nothing to do; edition {r.edition} is served",
    peer.REBUILD_PHASE_MOVED: lambda r: f"has moved; its next owner goes on with edition {r.edition}",
    peer.REBUILD_PHASE_DROPPED: lambda r: f"edition {r.edition} is deleted",
}


def _line(response: peer.RebuildResponse) -> str:
    if response.phase == peer.REBUILD_PHASE_FAILED:
        return f"went no further: {response.problem}"
    lines: Sequence[str] = [
        f"partition {response.partition:>3}  {_LINES[response.phase](response)}",
        *(f"    {key}" for key in response.different_keys),
    ]
    return "\n".join(lines)
