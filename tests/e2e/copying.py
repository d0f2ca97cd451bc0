"""A backup and a restore as an operator makes them, with people who write and pay meanwhile, and what must hold."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from chapar_chassis.ports import open_journal
from chapar_chassis.settings import CommonSettings
from chapar_client.demo import Person, Stage, eventually
from chapar_client.up import ANY_PORT
from chapar_sourcing.archive import Archive
from chapar_sourcing.digest import Refolded, digest_of, refold
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.requests import answers_since_ms
from tests.e2e.law import DOMAINS, Law

BACKED_UP = ("identity", "messaging", "payments")
PEOPLE, CASH = 6, 1_000_000
BEFORE, AFTER = "رازِ پیش از پشتیبان", "پس از پشتیبان"


async def chapar(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Runs an operator's command; its last line, or what it complains of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *arguments, "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        output, errors = await process.communicate()
    assert process.returncode == code, (output + errors).decode()
    said: dict[str, Any] = json.loads((errors if code else output).splitlines()[-1])
    return said


async def at_least(done: list[int], count: int) -> bool:
    """Whether so much has been done."""
    return done[0] >= count


@asynccontextmanager
async def traffic(people: list[Person]) -> AsyncIterator[list[int]]:
    """Everybody writes and pays all others until the block ends; how often, at last."""
    done = [0]

    async def busy(one: Person, turn: int) -> None:
        while True:
            other = people[(people.index(one) + 1 + turn % (len(people) - 1)) % len(people)]
            await one.say(one.with_(other), f"{one.name} {turn}")
            await one.client.payments.transfer(other.user_id, 1 + turn % 7)
            turn, done[0] = turn + 1, done[0] + 1

    tasks = [asyncio.create_task(busy(one, number)) for number, one in enumerate(people)]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


class Segments:
    """A log that is only its archive."""

    def __init__(self, archive: Archive, up_to: int) -> None:
        self._archive = archive
        self._up_to = up_to

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> list[JournalRecord]:
        """All records from an offset on."""
        return [r for r in self._archive.records(partition, up_to=self._up_to) if r.offset >= from_offset]


async def folded(backup: Path) -> dict[tuple[str, int], tuple[bytes, int]]:
    """Digest and number of documents by service and partition, folded from the backed-up logs."""
    found = {}
    manifest = json.loads((backup / "backup.json").read_bytes())
    for service in BACKED_UP:
        told = manifest["services"][service]
        archive = Archive(
            backup / service, journal_id=told["journal_id"], generation=told["generation"],
            partitions=len(told["partitions"]),
        )  # fmt: skip
        for row in told["partitions"]:
            log = await refold(Segments(archive, row["offset"]), row["partition"], DOMAINS[service], onto=Refolded())
            assert log.state.hash.hex() == row["hash"]
            since_ms = answers_since_ms(log.state.time_ms, keeps_answers=DOMAINS[service].keeps_answers)
            digest = digest_of(log.documents, answers_since_ms=since_ms)
            found[service, row["partition"]] = (digest.sha256, digest.documents)
    return found


def where(stage: Stage) -> list[str]:
    """The options that tell an operator's command which installation is meant."""
    at = stage.up.installation
    return [
        *("--data", str(at.data_dir)),
        *(("--kafka", at.kafka) if at.kafka else ()),
        *(("--mongo", at.mongo) if at.mongo else ()),
    ]  # fmt: skip


def take_secrets(stage: Stage, source: Stage) -> None:
    """Puts the secrets of another installation into an empty one."""
    shutil.copytree(source.data_dir / "secrets", stage.data_dir / "secrets")


async def refolded(stage: Stage, ends: dict[tuple[str, int], int]) -> dict[tuple[str, int], tuple[bytes, int]]:
    """The same, folded from the journals of an installation that does not run, up to where the backup ended."""
    found = {}
    for service in BACKED_UP:
        environment = stage.up.installation.environment(service, listen=ANY_PORT)
        journal = await open_journal(CommonSettings.from_environ(environment), service)
        try:
            for partition in range(journal.partitions):
                log = await refold(journal, partition, DOMAINS[service], up_to=ends[service, partition])
                since_ms = answers_since_ms(log.state.time_ms, keeps_answers=DOMAINS[service].keeps_answers)
                digest = digest_of(log.documents, answers_since_ms=since_ms)
                found[service, partition] = (digest.sha256, digest.documents)
        finally:
            await journal.close()
    return found


def back_at(stage: Stage, one: Person) -> Person:
    """The same device at another installation."""
    person = Person(one.name, one.folder, stage.up.gateway_address)
    person.user_id = one.user_id
    stage._people.append(person)
    return person


async def texts(one: Person, other: Person) -> list[str]:
    """What a conversation holds."""
    room = one.with_(other)
    return [message.text async for message in one.client.messaging.history(room)]


def readable_by_others(folder: Path) -> list[Path]:
    """What in a folder has other modes than one's own."""
    everything = (folder, *folder.rglob("*"))
    return [path for path in everything if stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)]


async def copied_under_traffic(stage: Stage, backup: Path) -> list[Person]:
    """Makes a backup while everybody writes and pays; who they are. What is said afterwards is not in it."""
    people = list(await asyncio.gather(*(stage.person(f"نام {n}") for n in range(PEOPLE))))
    one, other = people[:2]
    for person in people:
        await stage.cash_in(person, CASH)
    await one.say(one.with_(other), BEFORE)
    async with traffic(people) as done:
        await eventually(lambda: at_least(done, 40), "traffic", timeout_s=60)
        before = done[0]
        said = await chapar("backup", "--to", str(backup), *where(stage))
        during = done[0] - before
    assert said["records"] > 0
    assert said["keys"] > 0
    assert during > 0, "nothing happened while the copy was made"
    await one.say(one.with_(other), AFTER)
    assert AFTER in await texts(one, other)
    assert readable_by_others(backup) == []
    return people


async def restored(backup: Path, stage: Stage) -> dict[str, Any]:
    """Restores into an installation that has its secrets and does not run; every log folds to what was copied."""
    said = await chapar("restore", "--from", str(backup), *where(stage))
    assert not (stage.data_dir / "restoring").exists()
    ends = {(s, row["partition"]): row["offset"] for s, rows in said["services"].items() for row in rows}
    assert await refolded(stage, ends) == await folded(backup)
    return said


async def goes_on(stage: Stage, people: list[Person]) -> None:
    """Services start on what was restored, and everybody goes on from where the backup ended."""
    async with stage:
        people = [back_at(stage, person) for person in people]
        one, other = people[:2]
        assert [(await person.client.identity.get_profile()).name for person in people] == [
            person.name for person in people
        ]
        there = await texts(one, other)
        assert BEFORE in there, "what is sealed opens"
        assert AFTER not in there, "what came later is not there"

        async def settled() -> bool:
            wallets = [await person.client.payments.get_wallet() for person in people]
            return sum(wallet.balance_rials for wallet in wallets) == PEOPLE * CASH

        await eventually(settled, "all the money", timeout_s=60)
        await one.read_from_now()
        number = await other.say(one.with_(other), "پس از بازگشت")
        await one.message(one.with_(other), number)
        law = Law(stage)
        await law.ask("the restore")
    assert await law.problems() == []
