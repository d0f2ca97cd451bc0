"""A canary on running services: it sees what is well, notices who is killed, and loses nothing meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chapar_client.canary import Account, CanaryMeasures, Rounds, keep_flying
from chapar_client.demo import Person, Stage, eventually
from tests.e2e.kit import E2E

pytestmark = E2E
RIALS = 50_000
WAIT_S = 90.0


async def _pair(stage: Stage) -> list[Person]:
    people = list(await asyncio.gather(stage.person("قناری یک"), stage.person("قناری دو")))
    await stage.cash_in(people[0], RIALS)
    return people


@asynccontextmanager
async def _flying(people: list[Person], measures: CanaryMeasures) -> AsyncIterator[None]:
    """A canary of these two, without a pause, until the block ends; in an orderly way."""
    one, other = people
    accounts = Account(one.client), Account(other.client)
    for account in accounts:
        await account.open()
    rounds = Rounds(accounts, measures, lambda *_: None, within_s=5.0, rials=1_000)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_flying(accounts, rounds, stopping, every_s=0.1))
        try:
            yield
        finally:
            stopping.set()


def _count(measures: CanaryMeasures, what: str, stage: str) -> int:
    return int(measures.value(f"chapar_canary_{what}_total", stage=stage))


async def _done(measures: CanaryMeasures, stage: str, more: int) -> None:
    """Waits until a step was done so many times more."""
    before = measures.value("chapar_canary_seconds_count", stage=stage)

    async def so() -> bool:
        return measures.value("chapar_canary_seconds_count", stage=stage) >= before + more

    await eventually(so, f"{more} times {stage}", timeout_s=WAIT_S)


async def _failed(measures: CanaryMeasures, *stages: str) -> None:
    async def so() -> bool:
        return any(_count(measures, "failures", stage) for stage in stages)

    await eventually(so, f"a failure of {stages}", timeout_s=WAIT_S)


async def _balances(people: list[Person]) -> int:
    return sum([(await person.client.payments.get_wallet()).balance_rials for person in people])


async def test_who_is_killed_is_noticed_and_nothing_is_lost(stage: Stage) -> None:
    people = await _pair(stage)
    measures = CanaryMeasures()
    async with _flying(people, measures):
        await _done(measures, "arrival", 2)
        await _done(measures, "delivery", 2)
        # It stands still until somebody has noticed, and is then killed as it stands.
        stage.up.send_signal("payments", signal.SIGSTOP)
        await _failed(measures, "settle", "wallet", "transfer", "arrival")
        await stage.up.kill_and_wait("payments")
        await _done(measures, "arrival", 4)
        await _done(measures, "delivery", 4)
    for person in people:
        for pending in await person.client.pending():
            await person.client.finish_pending(pending)

    async def whole() -> bool:
        return await _balances(people) == RIALS

    await eventually(whole, "all of the money in both wallets")
    room = people[0].with_(people[1])
    numbers = [message.sequence async for message in people[1].client.messaging.history(room)]
    assert sorted(numbers) == [*range(1, len(numbers) + 1)]
    assert len(numbers) >= _count(measures, "attempts", "send") - _count(measures, "failures", "send")


async def _metrics(address: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


async def test_the_command_serves_its_metrics_and_ends_when_it_is_asked_to(stage: Stage) -> None:
    people = await _pair(stage)
    one, other = (person.folder.name for person in people)
    environment = {**os.environ, "CHAPAR_HOME": str(stage.folder), "CHAPAR_GATEWAY": stage.up.gateway_address}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", "canary", "--json", "--every", "0.2", "--one", one, "--other", other,
        env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            begun = json.loads(await process.stdout.readline())
        assert begun["event"] == "flying"

        async def rounds() -> bool:
            lines = (await _metrics(begun["metrics_address"])).splitlines()
            return any(
                line.startswith('chapar_canary_attempts_total{stage="arrival"}') and float(line.split()[1]) >= 4
                for line in lines
            )

        await eventually(rounds, "two rounds of the command", timeout_s=WAIT_S)
        process.terminate()
        async with asyncio.timeout(WAIT_S):
            rest, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ended = json.loads(rest.splitlines()[-1])
    assert (process.returncode, ended["event"]) == (0, "ended")
