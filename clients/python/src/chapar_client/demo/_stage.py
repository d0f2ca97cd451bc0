"""A whole installation in one folder, with people who sign in to it. The demo plays on it, and so do the e2e tests."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from chapar_client.demo._person import WAIT_S_MAX, Person
from chapar_client.sdk import OperatorClient
from chapar_client.up import OWNERS, Installation, LogLine, SignInCodes, Supervisor

_POLL_S = 0.05
_LINES_MAX = 10_000


class Stage:
    """Use as `async with Stage(folder) as stage`: inside, all five services run on ephemeral ports."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: str = "",
        kafka_replicas: int = 1,
        mongo: str = "",
        replicas: Mapping[str, int] | None = None,
        advertised: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[LogLine], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.lines: list[LogLine] = []
        self.called_at: Sequence[str] = ()
        """Where people call who come from now on, when something lies between them and the gateways."""
        self._on_line = on_line
        self._codes = SignInCodes()
        installation = Installation(
            folder / "data", kafka=kafka, kafka_replicas=kafka_replicas, mongo=mongo, replicas=replicas,
            advertised=advertised, extra_environment=environment,
        )  # fmt: skip
        self.up = Supervisor(installation, self._line)
        self._people: list[Person] = []
        self._numbers = itertools.count()
        self._operator: OperatorClient | None = None

    async def __aenter__(self) -> Stage:
        await self.up.__aenter__()
        token = (self.data_dir / "secrets" / "operator.token").read_text(encoding="ascii").strip()
        self._operator = OperatorClient(self.up.operator_address, token)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.leave()
        await self.up.stop()

    async def leave(self) -> None:
        """Everybody goes home."""
        people, self._people = self._people, []
        for person in people:
            await person.close()
        if self._operator is not None:
            await self._operator.close()
            self._operator = None

    def _line(self, line: LogLine) -> None:
        self.lines.append(line)
        del self.lines[:-_LINES_MAX]
        self._codes.line(line)
        self._on_line(line)

    @property
    def operator(self) -> OperatorClient:
        """The operator's desk."""
        if self._operator is None:
            raise AssertionError("the stage is not up")
        return self._operator

    @property
    def data_dir(self) -> Path:
        """The installation's data folder."""
        return self.up.installation.data_dir

    def new_phone(self) -> str:
        """A number nobody on this stage has."""
        return f"+98912{next(self._numbers):07d}"

    async def code_for(self, phone: str) -> str:
        """The next code that is sent to a phone."""
        return await self._codes.next(phone)

    async def person(
        self, name: str, *, phone: str = "", device: str = "phone", set_name: bool = True, gateway: str = ""
    ) -> Person:
        """Somebody signs in, on a device of their own: at the gateway of that address, or each at the next one."""
        phone = phone or self.new_phone()
        folder = self.folder / "profiles" / f"{next(self._numbers)}"
        gateways = self.called_at or self.up.gateway_addresses
        person = Person(name, folder, gateway or gateways[len(self._people) % len(gateways)])
        self._people.append(person)
        identity = person.client.identity
        started = await identity.start_sign_in(phone)
        answer = await identity.complete_sign_in(started.challenge_id, await self.code_for(phone), device)
        person.user_id = answer.user_id
        if set_name and answer.new_user:
            await identity.update_profile(name)
        return person

    async def cash_in(self, person: Person, amount_rials: int) -> int:
        """Brings money in; answers the balance after it."""
        answer = await self.operator.cash_in(person.user_id, amount_rials, f"desk {next(self._numbers)}")
        return answer.balance_rials

    async def digests(self) -> dict[str, tuple[bool, Any]]:
        """Refolds every service's log from zero; by service: whether live, store and log agree, and what was said."""
        ended = await asyncio.gather(*(self.up.run(service, "digest") for service in OWNERS))
        found = {}
        for service, (status, output) in zip(OWNERS, ended, strict=True):
            lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
            found[service] = (status == 0 and bool(lines), lines or output)
        return found


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, *, timeout_s: float = WAIT_S_MAX) -> None:
    """Asks again and again until the answer is yes; raises TimeoutError."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await condition():  # noqa: ASYNC110 - what is waited for is in another process
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise TimeoutError(f"not within {timeout_s:.0f} s: {what}") from None
