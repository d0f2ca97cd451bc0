"""Runs the five services of an installation: starts, restarts, ends them, in the right order.

A process is called after its service; further ones of the same service are "messaging-2", "messaging-3" and so on.

The supervisor decides nothing about data. Owners start first and together, gateways join them; gateways end first, so
that nobody is promised anything that an ending owner cannot keep. Processes of one service end one after the other,
services side by side.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType

from chapar_client.up._asking import databases, topics
from chapar_client.up._child import Addresses, Child, LogLine, OnLine, ServiceFailed
from chapar_client.up._installation import ANY_PORT, GATEWAY, OWNERS, Installation, is_gateway, replicas, service_of
from chapar_client.up._lock import locked_folder
from chapar_client.up._running import run_to_end

READY_S_MAX = 60.0
GATEWAY_END_S_MAX = 12.0
OWNER_END_S_MAX = 18.0
"""Partitions are released, then calls under way end: 10 s and 5 s at most."""
RESTART_PAUSE_S_FIRST = 0.1
RESTART_PAUSE_S_MAX = 5.0
STEADY_S = 10.0
"""A service that ran for so long starts its restarts with the shortest pause again."""


class Supervisor:
    """Use as `async with Supervisor(installation, on_line) as up`: inside, all five run."""

    def __init__(
        self,
        installation: Installation,
        on_line: OnLine,
        *,
        on_restart: Callable[[str, int, float], None] = lambda *_: None,
    ) -> None:
        """`on_restart` is told (service, exit status, pause in seconds) whenever a service died."""
        self.installation = installation
        self.addresses: dict[str, Addresses] = {}
        self._on_line = on_line
        self._on_restart = on_restart
        self._children: dict[str, Child] = {}
        self._starts: dict[str, int] = dict.fromkeys(installation.processes, 0)
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._held = ExitStack()

    async def __aenter__(self) -> Supervisor:
        self.installation.check_replicas()
        self._held.enter_context(locked_folder(self.installation.data_dir))
        try:
            await self._create_secrets()
            if self.installation.kafka:
                await topics(self.installation, "apply")
            if self.installation.mongo:
                await databases(self.installation, "prepare")
            owners = [process for process in self.installation.processes if not is_gateway(process)]
            await asyncio.gather(*map(self._start, owners))
            await asyncio.gather(*map(self._start, filter(is_gateway, self.installation.processes)))
        except BaseException:
            await self.stop()
            raise
        self._write_addresses()
        for service in self.installation.processes:
            self._keepers[service] = asyncio.create_task(self._keep(service), name=f"keep {service}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.stop()

    @property
    def gateway_address(self) -> str:
        """Where clients call the first gateway."""
        return self.addresses[GATEWAY].address

    @property
    def gateway_addresses(self) -> Sequence[str]:
        """Where clients call any of the gateways, the first one first."""
        return [self.addresses[process].address for process in filter(is_gateway, self.installation.processes)]

    @property
    def operator_address(self) -> str:
        """Where operators call."""
        return self.addresses[GATEWAY].operator_address

    def pid(self, service: str) -> int:
        """Process id of a service now."""
        return self._children[service].pid

    def starts(self, service: str) -> int:
        """How often a service became ready."""
        return self._starts[service]

    def send_signal(self, service: str, number: signal.Signals) -> None:
        """Sends a signal to a service, such as SIGSTOP."""
        self._children[service].send_signal(number)

    async def kill_and_wait(self, service: str, timeout_s: float = READY_S_MAX) -> None:
        """Ends a service with SIGKILL and waits until it is back."""
        before = self._starts[service]
        self._children[service].kill()
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self._starts[service] > before)

    async def failed(self) -> None:
        """Returns never while all goes well; raises `ServiceFailed` when a service cannot be kept up."""
        done, _ = await asyncio.wait(self._keepers.values(), return_when=asyncio.FIRST_COMPLETED)
        for keeper in done:
            keeper.result()

    async def stop(self) -> None:
        """Ends all, gateways first, within a bound."""
        for keeper in self._keepers.values():
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers.values())
        self._keepers.clear()
        gateways = [self._children.pop(process) for process in [*filter(is_gateway, self._children)]]
        await asyncio.gather(*(self._end(gateway, GATEWAY_END_S_MAX) for gateway in gateways))
        await asyncio.gather(*(self._end_in_turn(processes) for processes in replicas(self._children)))
        self._children.clear()
        self._held.close()

    async def _end_in_turn(self, processes: Sequence[str]) -> None:
        """Ends replicas of one service: each hands over to those that are still there."""
        for process in processes:
            await self._end(self._children[process], OWNER_END_S_MAX)

    async def _end(self, child: Child, timeout_s: float) -> None:
        status = await child.stop(timeout_s)
        fields = {"service": child.service, "event": "ended", "status": status}
        self._on_line(LogLine(child.service, json.dumps(fields), fields))

    async def run(self, service: str, *arguments: str) -> tuple[int, str]:
        """Runs a sub-command of a service, such as `digest`; answers its status and output."""
        installation = self.installation
        return await run_to_end(
            installation.command(service, *arguments), installation.environment(service, listen=ANY_PORT)
        )

    async def _create_secrets(self) -> None:
        data_dir = self.installation.data_dir
        command = [sys.executable, "-m", "chapar_chassis.installing", str(data_dir)]
        environment = self.installation.environment(OWNERS[0], listen=ANY_PORT)
        status, output = await run_to_end(command, environment)
        if status != 0:
            raise ServiceFailed(f"the installation's secrets could not be made: {output.strip()}")

    async def _start(self, service: str) -> None:
        at = self.addresses.get(service) or self._first_addresses(service)
        environment = self.installation.environment(
            service, listen=at.address, metrics_listen=at.metrics_address or ANY_PORT,
            operator_listen=at.operator_address,
        )  # fmt: skip
        command = self.installation.command(service_of(service))
        child = await Child.start(service, command, environment, self._on_line)
        self._children[service] = child
        watching = asyncio.create_task(child.ended(), name=f"end of {service}")
        try:
            self.addresses[service] = await child.ready(READY_S_MAX)
        finally:
            if not watching.done():
                watching.cancel()
        if self._keepers:
            self._write_addresses()
        async with self._changed:
            self._starts[service] += 1
            self._changed.notify_all()

    def _first_addresses(self, process: str) -> Addresses:
        """Where a process listens that was never started: clients and operators know where the first gateway does."""
        installation = self.installation
        if process == GATEWAY:
            return Addresses(installation.listen, operator_address=installation.operator_listen)
        if is_gateway(process):
            return Addresses(_beside(installation.listen), operator_address=_beside(installation.operator_listen))
        return Addresses(ANY_PORT)

    async def _keep(self, service: str) -> None:
        pause_s = RESTART_PAUSE_S_FIRST
        while True:
            since = time.monotonic()
            status = await self._children[service].ended()
            if time.monotonic() - since > STEADY_S:
                pause_s = RESTART_PAUSE_S_FIRST
            self._on_restart(service, status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RESTART_PAUSE_S_MAX)
            try:
                await self._start(service)
            except ServiceFailed as error:
                self._on_line(LogLine(service, f"(up) {error}"))
                self._children[service].kill()
                if not is_gateway(service):
                    # Somebody may have taken its port meanwhile; owners are found wherever they listen.
                    self.addresses.pop(service, None)

    def _write_addresses(self) -> None:
        """For `chapar status` and the operators' commands: who listens where."""
        path = self.installation.data_dir / "up.json"
        content = {"pid": os.getpid(), "services": {name: asdict(at) for name, at in self.addresses.items()}}
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        temporary.replace(path)


def _beside(address: str) -> str:
    """Any port of the same host."""
    return f"{address.rpartition(':')[0]}:0"
