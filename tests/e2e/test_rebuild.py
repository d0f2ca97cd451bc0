"""Stores are built anew from their logs while five real processes serve people; nobody notices, and nothing differs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chapar_client.demo import Person, Stage, eventually
from tests.e2e.kit import E2E, listed, state_of

pytestmark = E2E

PARTITIONS = 16
WORK_S_MAX = 90


async def chapar(stage: Stage, *arguments: str, code: int | None = 0) -> Sequence[dict[str, Any]]:
    """Runs a command of the operator; what it says, one object a line. `code` None: it may end in any way."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *arguments, "--data", str(stage.data_dir), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WORK_S_MAX):
        output, errors = await process.communicate()
    assert code is None or process.returncode == code, (output + errors).decode()
    return [json.loads(line) for line in output.splitlines()]


def phases(said: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(one["phase"] for one in said)


@asynccontextmanager
async def talking(people: Sequence[Person], room: str) -> AsyncIterator[Callable[[], int]]:
    """Texts and transfers without a pause; says how many were answered."""
    done = 0

    async def work(one: Person, other: Person) -> None:
        nonlocal done
        while True:
            await one.say(room, f"{done}")
            await one.client.payments.transfer(other.user_id, 10)
            done += 1

    async with asyncio.TaskGroup() as tasks:
        workers = [
            tasks.create_task(work(one, other))
            for one, other in zip(people, [*people[1:], people[0]], strict=True)
        ]  # fmt: skip
        yield lambda: done
        for worker in workers:
            worker.cancel()


async def company(stage: Stage) -> tuple[list[Person], str]:
    """Three people with money and a group that somebody left and came back to, with texts deleted and texts read."""
    people = list(await asyncio.gather(*(stage.person(name) for name in ("الف", "ب", "پ"))))
    one, other, third = people
    for person in people:
        await stage.cash_in(person, 100_000)
    room = await one.client.messaging.create_group("بازسازی", [other.user_id, third.user_id])
    for number in range(6):
        await one.say(room, f"{number}")
    await third.say(room, "از من")
    await one.client.messaging.delete_message(room, 2)
    await one.client.messaging.remove_member(room, third.user_id)
    await one.say(room, "بی او")
    await one.client.messaging.add_member(room, third.user_id)
    await other.client.messaging.mark_read(room, 3)
    return people, room


async def rested(people: Sequence[Person], room: str) -> list[dict[str, Any]]:
    """What everybody sees once inboxes have heard of everything and all money has arrived."""
    head = await people[0].say(room, "پایان")
    for person in people:
        await listed(person, room, head)

    async def arrived() -> bool:
        balances = [(await person.client.payments.get_wallet()).balance_rials for person in people]
        return sum(balances) == 100_000 * len(people)

    await eventually(arrived, "all the money")
    seen: list[dict[str, Any]] = []

    async def settled() -> bool:
        """Cards of payments follow a moment later."""
        nonlocal seen
        before, seen = seen, [await state_of(person) for person in people]
        return before == seen

    await eventually(settled, "everything at rest")
    return seen


@pytest.mark.timeout(400)
async def test_stores_are_rebuilt_served_and_switched_back_from_under_load(stage: Stage) -> None:
    people, room = await company(stage)
    async with talking(people, room) as done:
        await eventually(_more_than(done, 5), "some traffic")
        for service in ("messaging", "payments", "identity", "presence"):
            before = done()
            assert phases(await chapar(stage, "rebuild", service)) == {"switched": PARTITIONS}
            assert done() > before, f"nothing was answered while {service} was rebuilt"
    seen = await rested(people, room)
    for service in ("messaging", "payments"):
        await stage.up.kill_and_wait(service)
    assert [await state_of(person) for person in people] == seen, "the new editions hold something else"
    async with talking(people, room) as done:
        await eventually(_more_than(done, 5), "some traffic")
        for service in ("messaging", "payments"):
            assert phases(await chapar(stage, "rebuild", service, "--switch-back")) == {"switched": PARTITIONS}
    seen = await rested(people, room)
    for service in ("messaging", "payments"):
        await stage.up.kill_and_wait(service)
    assert [await state_of(person) for person in people] == seen, "the kept editions hold something else"
    for service in ("messaging", "payments", "identity", "presence"):
        assert phases(await chapar(stage, "rebuild", service, "--drop")) == {"dropped": PARTITIONS}
    assert [await state_of(person) for person in people] == seen


@pytest.mark.timeout(300)
async def test_a_rebuild_goes_on_after_its_service_was_killed(stage: Stage) -> None:
    people, room = await company(stage)
    cut = asyncio.create_task(chapar(stage, "rebuild", "messaging", code=None))
    await eventually(_begun(stage), "the rebuild to have begun")
    await stage.up.kill_and_wait("messaging")
    await cut
    said = phases(await chapar(stage, "rebuild", "messaging"))
    assert said["switched"] + said["skipped"] == PARTITIONS
    seen = await rested(people, room)
    await stage.up.kill_and_wait("messaging")
    assert [await state_of(person) for person in people] == seen
    assert phases(await chapar(stage, "rebuild", "messaging", "--drop")) == {"dropped": PARTITIONS}


async def test_what_cannot_be_done_is_said_and_fails(stage: Stage) -> None:
    [said] = await chapar(stage, "rebuild", "messaging", "--switch-back", code=1)
    assert (said["phase"], said["problem"]) == ("failed", "no edition was kept to switch back to")
    assert phases(await chapar(stage, "rebuild", "messaging", "--drop", code=1)) == {"skipped": PARTITIONS}
    await chapar(stage, "rebuild", "gateway", code=2)
    await chapar(stage, "rebuild", "messaging", "--drop", "--switch-back", code=2)


def _more_than(done: Callable[[], int], count: int) -> Callable[[], Any]:
    async def reached() -> bool:
        return done() > count

    return reached


def _begun(stage: Stage) -> Callable[[], Any]:
    """Whether the store of messaging says that another edition is being built."""

    async def begun() -> bool:
        path = (stage.data_dir / "messaging" / "store.db").as_uri()
        connection = sqlite3.connect(f"{path}?mode=ro", uri=True)
        try:
            return bool(connection.execute("SELECT count(*) FROM editions WHERE other IS NOT NULL").fetchone()[0])
        finally:
            connection.close()

    return begun
