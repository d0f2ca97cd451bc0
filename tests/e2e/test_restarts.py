"""Services that die and come back: clients go on, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import signal

import pytest

from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import Connected, Disconnected
from tests.e2e.kit import E2E

pytestmark = E2E


async def two(stage: Stage) -> tuple[Person, Person]:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    for person in (one, other):
        await person.read_from_now()
    return one, other


async def heard(person: Person, room: str, count: int) -> None:
    await person.message(room, count)
    assert [message.sequence for message in person.messages(room)] == list(range(1, count + 1))


@pytest.mark.parametrize("service", ["messaging", "gateway"])
async def test_messages_go_on_over_a_kill(stage: Stage, service: str) -> None:
    one, other = await two(stage)
    room = one.with_(other)
    await one.say(room, "پیش")
    await heard(other, room, 1)
    killing = asyncio.create_task(stage.up.kill_and_wait(service))
    for number in range(2, 12):
        assert await one.say(room, f"{number}") == number
    await killing
    await one.say(room, "پس")
    for person in (one, other):
        await heard(person, room, 12)


async def test_a_killed_gateway_is_noticed_and_the_cursor_resumed(stage: Stage) -> None:
    one, other = await two(stage)
    room = one.with_(other)
    await one.say(room, "یک")
    await heard(other, room, 1)
    await stage.up.kill_and_wait("gateway")
    await other.until(lambda: other.updates[-1] == Connected(resumed=True), "the cursor being resumed")
    assert any(isinstance(update, Disconnected) for update in other.updates)
    await one.say(room, "دو")
    await heard(other, room, 2)


async def test_a_killed_inbox_owner_leads_to_a_reset_without_a_loss(stage: Stage) -> None:
    one, other = await two(stage)
    room = one.with_(other)
    await one.say(room, "یک")
    await heard(other, room, 1)
    await stage.up.kill_and_wait("messaging")
    await one.say(room, "دو")
    await heard(other, room, 2)
    assert await other.unread(room) == 2


async def test_unread_and_read_cursors_survive_a_kill(stage: Stage) -> None:
    one, other = await two(stage)
    room = one.with_(other)
    for number in range(1, 5):
        await one.say(room, f"{number}")
    await heard(other, room, 4)
    await other.client.messaging.mark_read(room, 3)
    await stage.up.kill_and_wait("messaging")
    assert (await other.unread(room), await one.unread(room)) == (1, 0)


async def test_sessions_and_usernames_survive_a_kill_of_identity(stage: Stage) -> None:
    one, other = await two(stage)
    await one.client.identity.set_username("pays_el_mordan")
    await stage.up.kill_and_wait("identity")
    assert await other.client.identity.resolve_username("pays_el_mordan") == one.user_id
    assert (await one.client.identity.get_profile()).name == "الف"
    late = await stage.person("پس از مرگ")
    assert (await late.client.identity.get_user(one.user_id)).username == "pays_el_mordan"


async def test_a_revocation_holds_over_a_restart_of_the_gateway(stage: Stage) -> None:
    phone = stage.new_phone()
    lost, kept = await stage.person("x", phone=phone), await stage.person("x", phone=phone)
    await kept.client.identity.revoke_session((await lost.client.session()).session_id)
    await stage.up.kill_and_wait("gateway")
    lost.read()
    async with asyncio.timeout(20):
        await lost.reading_ended()
    assert getattr(lost.ended, "reason", "") == "REASON_SESSION_REVOKED"


async def test_money_on_its_way_arrives_once_over_a_kill(stage: Stage) -> None:
    one, other = await two(stage)
    await stage.cash_in(one, 100_000)
    room = one.with_(other)
    killing = asyncio.create_task(stage.up.kill_and_wait("payments"))
    paid = [await one.client.payments.transfer(other.user_id, 1_000) for _ in range(10)]
    await killing

    async def arrived() -> bool:
        return (await other.client.payments.get_wallet()).balance_rials == 10_000

    await eventually(arrived, "all the money")
    assert (await one.client.payments.get_wallet()).balance_rials == 90_000

    def cards() -> list[str]:
        return [message.payment_card.transfer_id for message in other.messages(room)]

    await other.until(lambda: len(cards()) >= 10, "a card for each payment")
    assert sorted(cards()) == sorted(transfer.transfer_id for transfer in paid)


async def test_presence_comes_back_after_a_kill(stage: Stage) -> None:
    watcher, other = await two(stage)
    await watcher.say(watcher.with_(other), "سلام")
    await watcher.watch(other)
    await watcher.presence_of(other, online=True)
    await stage.up.kill_and_wait("presence")
    shown = len(watcher.updates)
    await other.stop_reading()

    def gone() -> bool:
        return any(getattr(update, "online", None) is False for update in watcher.updates[shown:])

    await watcher.until(gone, "the other going offline", timeout_s=40)


@pytest.mark.parametrize("service", ["messaging", "payments"])
async def test_a_service_that_stood_still_for_a_while_decides_nothing_twice(stage: Stage, service: str) -> None:
    one, other = await two(stage)
    room = one.with_(other)
    await stage.cash_in(one, 10_000)
    stage.up.send_signal(service, signal.SIGSTOP)
    calls = asyncio.gather(one.say(room, "ایست"), one.client.payments.transfer(other.user_id, 1_000))
    done, _ = await asyncio.wait([asyncio.ensure_future(calls)], timeout=3)
    assert not done, "a stopped service answers nothing"
    stage.up.send_signal(service, signal.SIGCONT)
    await calls
    await other.message(room, 2)
    kinds = sorted(message.WhichOneof("content") or "" for message in other.messages(room))
    assert kinds == ["payment_card", "text"]
    assert (await one.client.payments.get_wallet()).balance_rials == 9_000
