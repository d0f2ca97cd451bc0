"""One service as a child process: its start, its lines, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chapar_client.sdk import ChaparError

_LINE_BYTES_MAX = 1024 * 1024
_READER_S_MAX = 2.0


class ServiceFailed(ChaparError):
    """A service did not start, or ended too often."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a service wrote. `fields` is empty when it is not one of our JSON lines."""

    service: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def event(self) -> str:
        """What happened, such as "ready"."""
        return str(self.fields.get("event", ""))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service is reached."""

    address: str
    metrics_address: str = ""
    operator_address: str = ""


OnLine = Callable[[LogLine], None]


class Child:
    """A started service."""

    def __init__(self, service: str, process: Process, on_line: OnLine) -> None:
        self.service = service
        self._process = process
        self._on_line = on_line
        self._said = ""
        """Its last line that is none of our JSON lines: why it could not start."""
        self._problems = ""
        """What kept it from being ready when it said so last."""
        self._ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(), name=f"lines of {service}")

    @classmethod
    async def start(
        cls, service: str, command: Sequence[str], environment: Mapping[str, str], on_line: OnLine
    ) -> Child:
        """Starts the process in a session of its own, so that the terminal's Ctrl-C reaches the supervisor only."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=_LINE_BYTES_MAX,
            start_new_session=True,
        )
        return cls(service, process, on_line)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def ready(self, timeout_s: float) -> Addresses:
        """Waits for the service to say where it listens."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            why = f": {self._problems}" if self._problems else ""
            raise ServiceFailed(f"{self.service} was not ready within {timeout_s:.0f} s{why}") from None

    async def ended(self) -> int:
        """Waits for the end; its last lines have been shown then."""
        status = await self._process.wait()
        await asyncio.wait([self._reader], timeout=_READER_S_MAX)
        if not self._ready.done():
            why = f": {self._said}" if self._said else ""
            failed = ServiceFailed(f"{self.service} ended with status {status} before it was ready{why}")
            self._ready.set_exception(failed)
            self._ready.exception()
        return status

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._signal(signal.SIGKILL)

    async def stop(self, timeout_s: float) -> int:
        """Asks it to end, and after the time insists."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.ended()
        except TimeoutError:
            self.kill()
            return await self.ended()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, such as SIGSTOP."""
        self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            try:
                os.kill(self._process.pid, number)
            except ProcessLookupError:
                return

    async def _read(self) -> None:
        lines = self._process.stdout
        if lines is None:
            raise AssertionError("started with a pipe")
        while raw := await _next_line(lines):
            line = _parsed(self.service, raw.decode("utf-8", "replace").rstrip("\n"))
            if line.event == "ready" and not self._ready.done():
                self._ready.set_result(_addresses(line.fields))
            if line.event == "not_ready":
                self._problems = "; ".join(line.fields.get("problems", ()))
            if line.text and not line.fields:
                self._said = line.text
            self._on_line(line)


async def _next_line(lines: asyncio.StreamReader) -> bytes:
    try:
        return await lines.readline()
    except ValueError:
        return b"(a line longer than 1 MiB was dropped)\n"


def _parsed(service: str, text: str) -> LogLine:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    return LogLine(service, text, fields if isinstance(fields, dict) else {})


def _addresses(fields: Mapping[str, Any]) -> Addresses:
    return Addresses(
        str(fields.get("address", "")),
        str(fields.get("metrics_address", "")),
        str(fields.get("operator_address", "")),
    )
