"""Gathers everything of all processes of an installation on this machine; what does not answer is found so."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.doctor._found import Found, Partition, Process
from chapar_client.doctor._metrics import Sample, scrape
from chapar_client.health import checked
from chapar_client.owners import Endpoint, endpoints, owners, peer_token
from chapar_client.sdk import ChaparError, Client, StateStore, Unavailable
from chapar_client.up import GATEWAY, OWNERS, SERVICES, Installation, report_of, service_of

GATEWAY_S_MAX = 3.0
PHASES = frozenset({"owning"})
"""Of an owner that is as it should be."""


async def look(installation: Installation) -> Found:
    """Asks everybody at once. Raises `InvalidInput` for a folder on which nothing has run."""
    at = endpoints(installation.data_dir)
    processes, partitions, reports, ahead = await asyncio.gather(
        look_at_processes(at), _partitions(installation.data_dir, at), _reports(installation), _clock_ahead_ms(at)
    )
    seen, known = partitions
    return Found(
        processes=[_with_members(process, seen.get(process.name, ())) for process in processes],
        partitions=known,
        reports={service: report for service, (_, report) in reports.items() if report is not None},
        unreported={service: status for service, (status, report) in reports.items() if report is None},
        clock_ahead_ms=ahead,
    )


async def look_at_processes(at: Mapping[str, Endpoint]) -> Sequence[Process]:
    """How each is and what it measures, without whom it sees."""
    return await asyncio.gather(*(_process(name, one) for name, one in at.items()))


async def _process(name: str, at: Endpoint) -> Process:
    state, metrics = await asyncio.gather(checked(at.address), _metrics(at.metrics_address))
    return Process(name, service_of(name), at.address, state, metrics=metrics)


async def _metrics(address: str) -> Sequence[Sample] | None:
    try:
        return await scrape(address)
    except Unavailable:
        return None


def _with_members(process: Process, members: Sequence[str]) -> Process:
    return Process(process.name, process.service, process.address, process.state, members, process.metrics)


# ---- partitions


async def _partitions(
    folder: Path, at: Mapping[str, Endpoint]
) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[Partition]]]:
    """Whom each process sees, and each service's partitions."""
    names = {one.address: name for name, one in at.items()}
    seen: dict[str, Sequence[str]] = {}
    known: dict[str, Sequence[Partition]] = {}
    for service in OWNERS:
        answers = await _answers(folder, service, [name for name in at if service_of(name) == service], at)
        for process, answer in answers.items():
            alive = (member for member in answer.members if member.alive)
            seen[process] = [names.get(member.address, "?") for member in alive]
        if answers:
            known[service] = _known(answers, names)
    return seen, known


async def _answers(
    folder: Path, service: str, processes: Sequence[str], at: Mapping[str, Endpoint]
) -> Mapping[str, peer.OwnersResponse]:
    token = peer_token(folder, service)
    said = await asyncio.gather(*(owners(at[name].address, token) for name in processes), return_exceptions=True)
    answers: dict[str, peer.OwnersResponse] = {}
    for name, answer in zip(processes, said, strict=True):
        if isinstance(answer, peer.OwnersResponse):
            answers[name] = answer
        elif not isinstance(answer, Unavailable):
            raise answer
    return answers


def _known(answers: Mapping[str, peer.OwnersResponse], names: Mapping[str, str]) -> Sequence[Partition]:
    """Whoever holds a partition at its highest epoch speaks for it."""
    best: dict[int, Partition] = {}
    for process, answer in answers.items():
        for one in answer.partitions:
            said = _said(process, one, names)
            before = best.get(one.partition)
            if before is None or (said.epoch, said.phase in PHASES) > (before.epoch, before.phase in PHASES):
                best[one.partition] = said
    return [best[number] for number in sorted(best)]


def _said(process: str, one: peer.PartitionOwner, names: Mapping[str, str]) -> Partition:
    if one.HasField("held") and one.held.epoch >= one.epoch:
        held = one.held
        well = held.phase in PHASES and not held.problem
        return Partition(one.partition, held.epoch, process, held.phase, max(0, held.offset - held.checkpoint), well)
    owner = "" if one.released else names.get(one.address, "")
    return Partition(one.partition, one.epoch, owner, "", 0, well=False)


# ---- what services and gateways say


async def _reports(installation: Installation) -> Mapping[str, tuple[int, Mapping[str, Any] | None]]:
    said = await asyncio.gather(*(report_of(installation, service) for service in SERVICES))
    return dict(zip(SERVICES, said, strict=True))


async def _clock_ahead_ms(at: Mapping[str, Endpoint]) -> int | None:
    """Half of the way there and back is taken for the way there."""
    if GATEWAY not in at:
        return None
    with tempfile.TemporaryDirectory(prefix="chapar-doctor-") as folder:
        async with Client(at[GATEWAY].address, StateStore(Path(folder)), timeout_s=GATEWAY_S_MAX) as client:
            before = time.time()
            try:
                config = await client.get_config()
            except ChaparError:
                return None
            return int(config.server_time_ms - (before + time.time()) / 2 * 1000)
