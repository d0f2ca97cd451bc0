"""An account is erased through real processes: before and after, its words are looked for in every byte there is.

Codes go to a webhook of the test, so that no console shows a number; what the services log is searched like files.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.demo import Person, Stage, eventually
from tests.e2e.kit import E2E, Status, bearer, listed, raw_call, refused
from tests.e2e.law import Law

pytestmark = E2E

PHONE, OTHER_PHONE = "+989129876501", "+989129876502"
TEXT, GROUP_TEXT, REPLY = "گنجِ پنهانِ اول", "گنجِ پنهانِ دوم", "پاسخی که می‌ماند"
NAME, MEMO, TITLE, DEVICE = "نامِ پنهان", "یادداشتِ پنهان", "عنوانِ پنهان", "دستگاهِ پنهان"
PLANTED = (TEXT, GROUP_TEXT, REPLY, NAME, MEMO, TITLE, DEVICE, PHONE[1:], OTHER_PHONE[1:])
KEEPERS = ("identity", "messaging", "payments")
"""Services that keep keys of users."""
GET_PROFILE = "/chapar.identity.v1.IdentityService/GetProfile"


@dataclass
class Hook:
    """Where codes are posted."""

    codes: defaultdict[str, asyncio.Queue[str]] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One `POST`."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
        posted = json.loads(await reader.readexactly(length))
        self.codes[posted["phone"]].put_nowait(posted["code"])
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@dataclass
class House:
    """An installation whose codes come by webhook."""

    stage: Stage
    hook: Hook
    said: list[str]
    """Every line that a service wrote."""

    async def sign_in(self, phone: str, profile: str, name: str = "") -> Person:
        """Somebody with a code of the webhook."""
        person = self.back(profile)
        started = await person.client.identity.start_sign_in(phone)
        code = await asyncio.wait_for(self.hook.codes[phone].get(), 20)
        answer = await person.client.identity.complete_sign_in(started.challenge_id, code, DEVICE)
        person.user_id = answer.user_id
        if name:
            await person.client.identity.update_profile(name)
        return person

    def back(self, profile: str) -> Person:
        """Somebody with the session of an earlier time."""
        person = Person(profile, self.stage.folder / profile, self.stage.up.gateway_address)
        self.stage._people.append(person)
        return person


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """Opens it, for the first time or again."""
    hook, said = Hook(), []
    server = await asyncio.start_server(hook.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = {"CHAPAR_CODE_DELIVERY": "webhook", "CHAPAR_CODE_WEBHOOK_URL": f"http://127.0.0.1:{port}/"}
    async with server, Stage(folder, environment=environment, on_line=lambda line: said.append(line.text)) as stage:
        yield House(stage, hook, said)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of an installation with all its bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def found(data: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    """Which of some bytes are in which files."""
    return [(name, needle) for name, content in files(data) for needle in needles if needle in content]


def wrapped_keys(data: Path, subject: str) -> dict[str, list[bytes]]:
    """By service: the data keys of subjects that begin so, as the key stores keep them."""
    keys = {}
    for service in KEEPERS:
        with closing(sqlite3.connect(f"file:{data / service / 'keys.db'}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT subject, wrapped FROM keys").fetchall()
        keys[service] = [wrapped for name, wrapped in rows if name.startswith(subject)]
    return keys


def back_up(data: Path, backup: Path) -> None:
    """Copies the key stores as a backup tool does."""
    backup.mkdir()
    for service in KEEPERS:
        source = sqlite3.connect(f"file:{data / service / 'keys.db'}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(backup / f"{service}.db")) as copy:
            source.backup(copy)


def restore(data: Path, backup: Path) -> None:
    """Puts the copies back, of services that are down."""
    for service in KEEPERS:
        for left in (data / service).glob("keys.db-*"):
            left.unlink()
        shutil.copy(backup / f"{service}.db", data / service / "keys.db")


async def history(person: Person, room: str) -> list[messaging.Message]:
    return [message async for message in person.client.messaging.history(room)]


async def memos(person: Person) -> list[str]:
    return [line.memo async for line in person.client.payments.statement() if line.counterparty_user_id]


async def everything_is_erased(reader: Person, user_id: str, room: str, group: str) -> None:
    """What somebody who stays sees of somebody who has ended."""
    first, reply, card = await history(reader, room)
    assert (first.WhichOneof("content"), first.erased) == ("erased", True)
    assert (reply.text, reply.reply_to_sequence) == (REPLY, 1)
    assert card.payment_card.amount_rials == 20_000
    assert [m.WhichOneof("content") for m in await history(reader, group)] == ["erased"]
    assert await memos(reader) == [""]
    assert (await reader.client.payments.get_wallet()).balance_rials == 20_000
    shown = await reader.client.identity.get_user(user_id)
    assert (shown.name, shown.username, shown.erased) == ("", "", True)
    assert (await reader.client.messaging.get_conversation(group)).title == TITLE
    row = await reader.row(room)
    assert row is not None
    assert row.head_sequence == 3


async def all_agree(stage: Stage) -> None:
    """Of services that are down: logs refolded from zero, stores, chains and books."""
    assert await Law(stage).problems() == []


async def nowhere(data: Path, needles: list[bytes]) -> bool:
    """Whether no file has any of these bytes."""
    return found(data, needles) == []


def readable(house: House) -> list[str]:
    """Planted words in any file of the installation, or in what its services wrote."""
    planted = [text.encode() for text in PLANTED]
    in_files = [f"{name}: {needle.decode()}" for name, needle in found(house.stage.data_dir, planted)]
    return in_files + [line for line in house.said for text in PLANTED if text in line]


async def test_an_erased_account_leaves_no_readable_word_whatever_dies_and_is_restored(tmp_path: Path) -> None:
    folder = tmp_path / "installation"
    async with house(folder) as home:
        stage, data = home.stage, home.stage.data_dir
        gone = await home.sign_in(PHONE, "gone", NAME)
        phone_keys = wrapped_keys(data, "phone:")["identity"]
        stays = await home.sign_in(OTHER_PHONE, "stays", "ماندگار")
        room = gone.with_(stays)
        group = await gone.client.messaging.create_group(TITLE, [stays.user_id])
        await gone.say(room, TEXT)
        await stays.say(room, REPLY, reply_to=1)
        await gone.say(group, GROUP_TEXT)
        await stage.cash_in(gone, 50_000)
        await gone.client.payments.transfer(stays.user_id, 20_000, memo=MEMO)
        await listed(stays, room, 3)
        await gone.client.identity.set_username("ganj_e_penhan")
        token = await bearer(gone)

        assert [m.text for m in await history(stays, room)] == [TEXT, REPLY, ""]
        assert [m.text for m in await history(stays, group)] == [GROUP_TEXT]
        assert await memos(stays) == [MEMO]
        assert (await stays.client.identity.get_user(gone.user_id)).name == NAME
        assert found(data, [gone.user_id.encode()]) != []
        assert readable(home) == []

        doomed = wrapped_keys(data, gone.user_id)
        assert all(doomed.values())
        mine = [*phone_keys, *(wrapped for keys in doomed.values() for wrapped in keys)]
        others = wrapped_keys(data, stays.user_id)["messaging"]
        assert {needle for _, needle in found(data, [*mine, *others])} == {*mine, *others}
        back_up(data, tmp_path / "backup")

        await gone.client.identity.erase_account(gone.user_id)
        await asyncio.gather(*(stage.up.kill_and_wait(service) for service in KEEPERS))
        await eventually(lambda: nowhere(data, mine), "the keys' bytes being gone from all files", timeout_s=60)
        assert {needle for _, needle in found(data, others)} == set(others)
        await everything_is_erased(stays, gone.user_id, room, group)
        await turned_away(home, token)
        again = await home.sign_in(PHONE, "again")
        assert again.user_id not in (gone.user_id, "")
        assert (await again.client.identity.get_profile()).phone == PHONE
        assert await again.client.identity.set_username("ganj_e_penhan") == "ganj_e_penhan"
        assert readable(home) == []

    await all_agree(stage)
    restore(data, tmp_path / "backup")
    assert {needle for _, needle in found(data, mine)} == set(mine)
    async with house(folder) as home:
        await eventually(lambda: nowhere(data, mine), "the erasure being repeated", timeout_s=60)
        await everything_is_erased(home.back("stays"), gone.user_id, room, group)
    await all_agree(stage)


async def turned_away(home: House, token: tuple[tuple[str, str], ...]) -> None:
    """Waits until a session of an erased user is refused."""

    async def is_refused() -> bool:
        outcome = await raw_call(home.stage.up.gateway_address, GET_PROFILE, b"", token)
        return outcome.status is Status.UNAUTHENTICATED

    await eventually(is_refused, "the erased user's session being refused")


async def test_an_operator_needs_grounds_and_erases_without_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path / "installation") as home:
        stage, data = home.stage, home.stage.data_dir
        gone, stays = await home.sign_in(PHONE, "gone", NAME), await home.sign_in(OTHER_PHONE, "stays")
        room = gone.with_(stays)
        await gone.say(room, TEXT)
        assert [m.text for m in await history(stays, room)] == [TEXT]
        doomed = wrapped_keys(data, gone.user_id)
        mine = [*doomed["identity"], *doomed["messaging"]]
        assert {needle for _, needle in found(data, mine)} == set(mine)

        grounds = stage.operator.erase_user(gone.user_id, "")
        await refused(grounds, "REASON_GROUNDS_INVALID", Status.INVALID_ARGUMENT)
        await refused(
            gone.client.identity.erase_account(stays.user_id), "REASON_CONFIRMATION_WRONG", Status.INVALID_ARGUMENT
        )
        assert [m.text for m in await history(stays, room)] == [TEXT]
        await stage.operator.erase_user(gone.user_id, "case 7")
        await eventually(lambda: nowhere(data, mine), "the keys' bytes being gone from all files", timeout_s=60)
        assert [m.erased for m in await history(stays, room)] == [True]
        assert (await stays.client.identity.get_user(gone.user_id)).erased
    await all_agree(stage)
