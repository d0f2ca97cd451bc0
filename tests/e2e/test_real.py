"""All services on a real broker and a real database: they talk, pay, lose the database, die, and the law holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chapar_client.demo import Person, Stage, eventually
from tests.e2e.clocks import Clock, said_of_the_clock
from tests.e2e.law import Law
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.mongo,
    pytest.mark.xdist_group("kafka"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]


@dataclass(frozen=True, slots=True)
class Real:
    """An installation, and the database below it."""

    stage: Stage
    database: MongoServer
    clock: Clock


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """One installation for all tests here; at the end log, owners and database must hold the same."""
    folder: Path = tmp_path_factory.mktemp("real")
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        clock = Clock(folder)
        environment = clock.environment
        async with Stage(folder, kafka=broker.bootstrap, mongo=database.uri, environment=environment) as stage:
            law = Law(stage)
            yield Real(stage, database, clock)
            await law.ask("the last test")
        problems = await law.problems()
        files = sorted(path.name for path in (folder / "data").rglob("*.db"))
    assert problems == []
    assert not {"journal.db", "store.db", "keys.db"} & set(files)


async def two(stage: Stage) -> tuple[Person, Person]:
    """Two who read their inboxes; the first has money."""
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    for person in (one, other):
        await person.read_from_now()
    await stage.cash_in(one, 1_000_000)
    return one, other


async def holds(person: Person, rials: int) -> None:
    async def so() -> bool:
        return (await person.client.payments.get_wallet()).balance_rials == rials

    await eventually(so, f"{person.name} holding {rials} rials", timeout_s=120)


async def heard(person: Person, room: str, *sequences: int) -> None:
    for sequence in sequences:
        await person.message(room, sequence, timeout_s=120)


async def test_people_talk_and_pay(real: Real) -> None:
    one, other = await two(real.stage)
    room = one.with_(other)
    assert [await one.say(room, f"{n}") for n in range(1, 6)] == [1, 2, 3, 4, 5]
    paid = await one.client.payments.transfer(other.user_id, 300_000, memo="کتاب")
    assert paid.balance_rials == 700_000
    await holds(other, 300_000)
    await heard(other, room, *range(1, 7))
    assert [message.text async for message in other.client.messaging.history(room)][:5] == ["1", "2", "3", "4", "5"]


async def test_payments_that_are_warm_go_on_while_the_database_says_nothing(real: Real) -> None:
    payer, payee = await two(real.stage)
    await payer.client.payments.transfer(payee.user_id, 1_000)
    await holds(payee, 1_000)
    real.database.pause()
    try:
        left = [(await payer.client.payments.transfer(payee.user_id, 1_000)).balance_rials for _ in range(10)]
    finally:
        real.database.resume()
    assert left == [1_000_000 - 1_000 * n for n in range(2, 12)]
    await holds(payee, 11_000)


@pytest.mark.parametrize("service", ["messaging", "payments"])
async def test_nothing_is_lost_when_the_database_and_then_a_service_are_killed(real: Real, service: str) -> None:
    one, other = await two(real.stage)
    room = one.with_(other)
    await one.say(room, "پیش")

    back = asyncio.Event()

    async def talk() -> list[str]:
        said: list[str] = []
        while not back.is_set() or len(said) < 10:
            said.append(f"{len(said)}")
            await one.say(room, said[-1])
        return said

    async def pay() -> int:
        paid = 0
        while not back.is_set() or paid < 10:
            await one.client.payments.transfer(other.user_id, 1)
            paid += 1
        return paid

    working = asyncio.gather(talk(), pay())
    await heard(other, room, 2)
    await asyncio.to_thread(real.database.kill9)
    await asyncio.to_thread(real.database.restart)
    await real.stage.up.kill_and_wait(service)
    back.set()
    said, paid = await working
    await holds(other, paid)
    texts = [message.text async for message in other.client.messaging.history(room)]
    assert [text for text in texts if text] == ["پیش", *said]


@pytest.mark.parametrize("off_s", [3_600, -3_600])
async def test_a_clock_that_jumps_by_an_hour_holds_up_payments_until_it_is_right_again(real: Real, off_s: int) -> None:
    payer, payee = await two(real.stage)
    right = asyncio.Event()
    paid = 0

    async def pay() -> None:
        nonlocal paid
        while not right.is_set():
            await payer.client.payments.transfer(payee.user_id, 1)
            paid += 1

    async def told(event: str, since: int) -> bool:
        lines = [line for line in real.stage.lines[since:] if line.service == "payments" and line.event == event]
        return any(event == "ready" or said_of_the_clock(line.fields["problems"]) for line in lines)

    since = len(real.stage.lines)
    paying = asyncio.create_task(pay())
    real.clock.turn("payments", off_s)
    try:
        await eventually(lambda: told("not_ready", since), "the clock is noticed", timeout_s=60)
        noticed = paid
    finally:
        real.clock.turn("payments", 0)
    await eventually(lambda: told("ready", since), "payments go on", timeout_s=60)
    right.set()
    await paying
    assert paid > noticed
    await holds(payee, paid)
