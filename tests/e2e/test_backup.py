"""A running installation is copied into a folder and restored into an empty one: what was true then is true there."""

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
from tests.e2e.kit import E2E
from tests.e2e.law import DOMAINS, Law

pytestmark = E2E

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


def with_secrets(stage: Stage, folder: Path) -> Path:
    """An empty installation that has the secrets of another one."""
    shutil.copytree(stage.data_dir / "secrets", folder / "data" / "secrets")
    return folder / "data"


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


async def test_what_was_backed_up_under_traffic_is_there_after_a_restore(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    async with Stage(tmp_path / "first") as stage:
        people = list(await asyncio.gather(*(stage.person(f"نام {n}") for n in range(PEOPLE))))
        one, other = people[:2]
        for person in people:
            await stage.cash_in(person, CASH)
        await one.say(one.with_(other), BEFORE)
        async with traffic(people) as done:
            await eventually(lambda: at_least(done, 40), "traffic")
            before = done[0]
            said = await chapar("backup", "--to", str(backup), "--data", str(stage.data_dir))
            during = done[0] - before
        assert said["records"] > 0
        assert during > 0, "nothing happened while the copy was made"
        await one.say(one.with_(other), AFTER)
        assert AFTER in await texts(one, other)
        data = with_secrets(stage, tmp_path / "second")
    for path in (backup, *backup.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    expected = await folded(backup)

    restored = await chapar("restore", "--from", str(backup), "--data", str(data))
    assert not (data / "restoring").exists()
    second = Stage(tmp_path / "second")
    ends = {(s, row["partition"]): row["offset"] for s, rows in restored["services"].items() for row in rows}
    assert await refolded(second, ends) == expected
    async with second:
        people = [back_at(second, person) for person in people]
        one, other = people[:2]
        assert [name for person in people if (name := (await person.client.identity.get_profile()).name)] == [
            person.name for person in people
        ]
        there = await texts(one, other)
        assert BEFORE in there, "what is sealed opens"
        assert AFTER not in there, "what came later is not there"

        async def settled() -> bool:
            wallets = [await person.client.payments.get_wallet() for person in people]
            return sum(wallet.balance_rials for wallet in wallets) == PEOPLE * CASH

        await eventually(settled, "all the money")
        await one.read_from_now()
        number = await other.say(one.with_(other), "پس از بازگشت")
        await one.message(one.with_(other), number)
        law = Law(second)
        await law.ask("the restore")
    assert await law.problems() == []


def files_of(data: Path) -> list[Path]:
    """The files of services in a data folder."""
    return list(data.glob("*/*.db"))


async def test_what_cannot_be_restored_is_refused_before_anything_is_written(stage: Stage, tmp_path: Path) -> None:
    one, other = await stage.person("الف"), await stage.person("ب")
    await one.say(one.with_(other), "سلام")
    backup = tmp_path / "backup"
    said = await chapar("backup", "--to", str(backup), "--data", str(stage.data_dir))
    again = await chapar("backup", "--to", str(backup), "--data", str(stage.data_dir))
    assert again["records"] < said["records"], "a backup is continued"

    async def refused(data: Path, words: str, *, source: Path = backup) -> None:
        complaint = await chapar("restore", "--from", str(source), "--data", str(data), code=1)
        assert words in complaint["message"]
        assert data == stage.data_dir or not files_of(data)

    data = tmp_path / "new"
    await refused(data, "put the secrets")
    await refused(data, "holds no whole backup", source=tmp_path)
    shutil.copytree(stage.data_dir / "secrets", data / "secrets")
    key = data / "secrets" / "messaging" / "master.key"
    whole = key.read_text("ascii")
    key.write_text("0" * 64, "ascii")
    await refused(data, "master.key of messaging is another one")
    assert whole.strip() not in (backup / "backup.json").read_text("ascii")
    await refused(stage.data_dir, "already: restore into an empty installation")
    half = tmp_path / "half"
    shutil.copytree(stage.data_dir / "secrets", half / "secrets")
    (half / "restoring").mkdir()
    (half / "restoring" / "identity").write_text("0" * 64, "ascii")
    complaint = await chapar("restore", "--from", str(backup), "--data", str(half), code=1)
    assert "another backup of identity" in complaint["message"]
