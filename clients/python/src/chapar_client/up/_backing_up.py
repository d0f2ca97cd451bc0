"""A backup of an installation that runs: every service copies its own part, and none more than the others need.

Nothing here reads data: services copy, say up to which time others are wanted for what they hold, and go on until
nobody wants more (`chapar_sourcing.causes`). Identity copies last, so that whoever acts in another service is known.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from chapar_client.up._child import ServiceFailed
from chapar_client.up._installation import ANY_PORT, Installation
from chapar_client.up._manifest import write_manifest

BACKED_UP = ("messaging", "payments", "identity")
"""In the order in which they copy. Who was seen when is kept out of archives: presence starts afresh."""
ROUNDS_MAX = 100
STEP_S_MAX = 24 * 3600.0
LINE_BYTES_MAX = 16 * 1024 * 1024

OnProgress = Callable[[str, int], None]
"""Told (service, partitions done)."""


async def back_up(installation: Installation, folder: Path, on_progress: OnProgress) -> Mapping[str, Any]:
    """Copies journals and keys of all services into the folder, an absolute path; what it says in its manifest.

    An older backup of the same installation in it is continued. Raises `ServiceFailed`.
    """
    await asyncio.to_thread(_make, folder, installation.data_dir)
    async with AsyncExitStack() as closing:
        copies: dict[str, _Copy] = {}
        rounds = 0
        # Nothing of identity is caused by the others, and they stand still once it begins: who acts in them is in it.
        for together in (BACKED_UP[:-1], BACKED_UP[-1:]):
            wanted: dict[str, int] = {}
            for service in together:
                copy = copies[service] = await closing.enter_async_context(
                    _copying(installation, service, folder, on_progress)
                )
                wanted = _later(wanted, (await copy.answer())["wanted"])
            rounds = max(rounds, await _settled([copies[service] for service in together], wanted))
        services = {service: await copy.ask({"finish": True}) for service, copy in copies.items()}
        for copy in copies.values():
            await copy.ended()
    manifest = {"partitions": installation.partitions, "rounds": rounds, "services": services}
    await asyncio.to_thread(write_manifest, folder, manifest)
    return manifest


def _make(folder: Path, data_dir: Path) -> None:
    """Makes the backup's folder. Raises `ServiceFailed`."""
    inside, data = folder.resolve(), data_dir.resolve()
    if inside.is_relative_to(data) or data.is_relative_to(inside):
        raise ServiceFailed(f"{folder} and the data folder {data} lie in each other: a backup is kept apart from both")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceFailed(f"{folder} cannot be made or written to ({error.strerror})") from None


async def _settled(copies: Collection[_Copy], wanted: dict[str, int]) -> int:
    """Has all copy up to what anybody wants, until nobody wants more; after how many rounds."""
    for count in range(1, ROUNDS_MAX + 1):
        before = wanted
        for copy in copies:
            wanted = _later(wanted, (await copy.ask({"cover": before}))["wanted"])
        if wanted == before:
            return count
    raise ServiceFailed(f"the logs did not settle within {ROUNDS_MAX} rounds: is a machine's clock off? Try again")


def _later(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {partition: max(one.get(partition, 0), other.get(partition, 0)) for partition in {*one, *other}}


class _Copy:
    """A service that copies its part."""

    def __init__(self, service: str, process: Process, on_progress: OnProgress) -> None:
        self._service = service
        self._process = process
        self._on_progress = on_progress

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Asks and waits for the answer."""
        if self._process.stdin is None:
            raise AssertionError("started with a pipe")
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.answer()

    async def answer(self) -> Mapping[str, Any]:
        """The next answer. Raises `ServiceFailed` with what the service says."""
        said = ""
        async with asyncio.timeout(STEP_S_MAX):
            while line := await self._line():
                fields = _parsed(line)
                if fields is not None and "progress" in fields:
                    self._on_progress(self._service, int(fields["progress"]) + 1)
                elif fields is not None and isinstance(answer := fields.get("answer"), dict):
                    return answer
                else:
                    said = line  # Warnings of libraries come this way, too.
        raise ServiceFailed(said or f"{self._service} ended before its part was copied")

    async def ended(self) -> None:
        """Waits for its end. Raises `ServiceFailed`."""
        async with asyncio.timeout(STEP_S_MAX):
            status = await self._process.wait()
        if status != 0:
            raise ServiceFailed(f"{self._service} ended with status {status}")

    async def _line(self) -> str:
        if self._process.stdout is None:
            raise AssertionError("started with a pipe")
        return (await self._process.stdout.readline()).decode("utf-8", "replace").strip()


@asynccontextmanager
async def _copying(
    installation: Installation, service: str, folder: Path, on_progress: OnProgress
) -> AsyncIterator[_Copy]:  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *installation.command(service, "backup", str(folder)),
        env=installation.environment(service, listen=ANY_PORT),
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        limit=LINE_BYTES_MAX,
    )
    try:
        yield _Copy(service, process, on_progress)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _parsed(line: str) -> Mapping[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
