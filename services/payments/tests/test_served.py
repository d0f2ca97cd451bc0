"""Payments through its RPCs: answers, refusals, repetition, both sides of a transfer, crashes, a hot account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_payments.domain.invariants import cash_in_rials, in_transit_rials, violations, wallets_rials
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.ports import AppendUnknown
from chapar_sourcing.requests import make_request_id

from .served import PARTITIONS, WAIT_SECONDS, Payments, World, refused, request_id, served, user_on

SARA, OMID, MINA = user_on(0), user_on(0, 1), user_on(3)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for lives in a log and a stream, without an event.
            await asyncio.sleep(0.01)


async def balance(payments: Payments, user: str) -> int:
    """What a user sees in the wallet."""
    answer = await payments.call(payments.users.GetWallet, public.GetWalletRequest(), user=user)
    return int(answer.balance_rials)


async def bring_in(payments: Payments, user: str, amount: int) -> public.CashInResponse:
    """An operator brings money in."""
    request = public.CashInRequest(request_id=request_id(), user_id=user, amount_rials=amount, reference="till 4")
    return await payments.call(payments.operators.CashIn, request, operator="amir")


def pay(
    payments: Payments, payer: str, payee: str, amount: int, *, memo: str = "", request: str = ""
) -> Awaitable[public.TransferResponse]:
    """A user pays another."""
    message = public.TransferRequest(
        request_id=request or request_id(), payee_user_id=payee, amount_rials=amount, memo=memo
    )
    return payments.call(payments.users.Transfer, message, user=payer)


@pytest.mark.parametrize("payee", [OMID, MINA])
async def test_transfer_reaches_both_statements_with_its_memo(payee: str) -> None:
    world = World()
    async with served(world) as payments:
        await bring_in(payments, SARA, 1_000)
        paid = await pay(payments, SARA, payee, 300, memo="بابت ناهار")
        assert (paid.balance_rials, len(paid.transfer_id)) == (700, 32)

        async def arrived() -> bool:
            return await balance(payments, payee) == 300

        await until(arrived)
        for user, kind, amount, other, count in (
            (SARA, public.LINE_KIND_SENT, -300, payee, 2),
            (payee, public.LINE_KIND_RECEIVED, 300, SARA, 1),
        ):
            answer = await payments.call(
                payments.users.ListStatementLines, public.ListStatementLinesRequest(), user=user
            )
            line = answer.lines[0]
            assert (line.kind, line.amount_rials, line.counterparty_user_id) == (kind, amount, other)
            assert (line.transfer_id, line.memo, line.sequence) == (paid.transfer_id, "بابت ناهار", count)
            assert (len(answer.lines), answer.next_page_token) == (count, "")

        async def told() -> bool:
            return await world.completed() == [paid.transfer_id]

        await until(told)
    assert "ناهار".encode() not in b"".join(r.data for rs in world.log.records.values() for r in rs)
    assert violations(world.books()) == []
    assert in_transit_rials(world.books()) == 0


async def test_refusals_have_their_documented_status_and_change_nothing() -> None:
    world = World()
    async with served(world) as payments:
        await bring_in(payments, SARA, 100)
        before = world.books()
        invented = "a" * 26
        cases = [
            (pay(payments, SARA, OMID, 101), "FAILED_PRECONDITION", "REASON_FUNDS_INSUFFICIENT"),
            (pay(payments, SARA, MINA, 101), "FAILED_PRECONDITION", "REASON_FUNDS_INSUFFICIENT"),
            (pay(payments, SARA, OMID, 0), "INVALID_ARGUMENT", "REASON_AMOUNT_INVALID"),
            (pay(payments, SARA, OMID, -5), "INVALID_ARGUMENT", "REASON_AMOUNT_INVALID"),
            (pay(payments, SARA, SARA, 5), "INVALID_ARGUMENT", "REASON_PAYEE_IS_PAYER"),
            (pay(payments, SARA, invented, 5), "NOT_FOUND", "REASON_USER_UNKNOWN"),
            (pay(payments, SARA, OMID.upper(), 5), "NOT_FOUND", "REASON_USER_UNKNOWN"),
            (pay(payments, SARA, OMID, 5, memo="م" * 129), "INVALID_ARGUMENT", "REASON_MEMO_TOO_LONG"),
            (pay(payments, SARA, OMID, 5, request="42"), "INVALID_ARGUMENT", "REASON_REQUEST_ID_INVALID"),
            (bring_in(payments, invented, 5), "NOT_FOUND", "REASON_USER_UNKNOWN"),
            (bring_in(payments, SARA, 10**12 + 1), "INVALID_ARGUMENT", "REASON_AMOUNT_INVALID"),
        ]
        for call, status, reason in cases:
            assert (await refused(call))[:2] == (status, reason)
        assert (await refused(pay(payments, SARA, OMID, 101)))[2] == {"balance_rials": "100"}
        assert await balance(payments, SARA) == 100
    assert world.books() == before


async def test_only_operators_bring_money_in() -> None:
    async with served(World()) as payments:
        request = public.CashInRequest(request_id=request_id(), user_id=SARA, amount_rials=5, reference="r")
        _, reason, _ = await refused(payments.call(payments.operators.CashIn, request, user=SARA))
        assert reason == "REASON_METHOD_UNKNOWN"
        assert await balance(payments, SARA) == 0


async def test_a_repeated_request_pays_once_and_other_content_is_refused() -> None:
    world = World()
    async with served(world) as payments:
        await bring_in(payments, SARA, 1_000)
        once = request_id()
        first, *others = await asyncio.gather(
            *(pay(payments, SARA, MINA, 10, memo="یک", request=once) for _ in range(5))
        )
        assert others == [first] * 4
        status, reason, _ = await refused(pay(payments, SARA, MINA, 11, memo="یک", request=once))
        assert (status, reason) == ("ALREADY_EXISTS", "REASON_REQUEST_ID_REUSED")
        assert await balance(payments, SARA) == 990
    async with served(world) as payments:
        assert await pay(payments, SARA, MINA, 10, memo="یک", request=once) == first
        assert await balance(payments, SARA) == 990


async def test_two_users_with_one_request_id_make_two_transfers() -> None:
    async with served(World()) as payments:
        await bring_in(payments, SARA, 10)
        await bring_in(payments, OMID, 10)
        once = request_id()
        ours, theirs = await asyncio.gather(
            pay(payments, SARA, MINA, 10, request=once), pay(payments, OMID, MINA, 10, request=once)
        )
        assert ours.transfer_id != theirs.transfer_id


async def test_a_refusal_stays_the_answer_of_its_request() -> None:
    async with served(World()) as payments:
        once = request_id()
        assert (await refused(pay(payments, SARA, OMID, 10, request=once)))[1] == "REASON_FUNDS_INSUFFICIENT"
        await bring_in(payments, SARA, 1_000)
        assert (await refused(pay(payments, SARA, OMID, 10, request=once)))[1] == "REASON_FUNDS_INSUFFICIENT"
        assert (await pay(payments, SARA, OMID, 10)).balance_rials == 990


async def test_statement_pages_hold_every_line_once() -> None:
    async with served(World()) as payments:
        for _ in range(7):
            await bring_in(payments, SARA, 1)
        for size in (1, 3, 7, 200):
            token, seen = "", []
            while True:
                request = public.ListStatementLinesRequest(page_size=size, page_token=token)
                answer = await payments.call(payments.users.ListStatementLines, request, user=SARA)
                assert 1 <= len(answer.lines) <= size
                seen += [(line.sequence, line.balance_rials) for line in answer.lines]
                token = answer.next_page_token
                if not token:
                    break
            assert seen == [(n, n) for n in range(7, 0, -1)]
        empty = await payments.call(payments.users.ListStatementLines, public.ListStatementLinesRequest(), user=OMID)
        assert empty == public.ListStatementLinesResponse()


@pytest.mark.parametrize(
    ("size", "token"), [(201, ""), (-1, ""), (1, "x"), (1, "0"), (1, "01"), (1, "-3"), (1, "9" * 16), (1, "٣")]
)
async def test_pages_that_were_never_offered_are_refused(size: int, token: str) -> None:
    async with served(World()) as payments:
        request = public.ListStatementLinesRequest(page_size=size, page_token=token)
        call = payments.call(payments.users.ListStatementLines, request, user=SARA)
        assert (await refused(call))[:2] == ("INVALID_ARGUMENT", "REASON_PAGE_INVALID")


async def test_a_hot_account_takes_many_credits_in_few_commands() -> None:
    world = World()
    payers = [user_on(n % 3, 5 + n // 3) for n in range(150)]

    def as_slow_as_a_disk(step: str, _partition: int) -> Awaitable[None] | None:
        return asyncio.sleep(0.02) if step == "append" else None

    async with served(world, fault=as_slow_as_a_disk) as payments:
        await asyncio.gather(*(bring_in(payments, payer, 100) for payer in payers))
        paid = await asyncio.gather(*(pay(payments, payer, MINA, 1) for payer in payers for _ in range(2)))

        async def arrived() -> bool:
            return await balance(payments, MINA) == 300

        await until(arrived)

        async def told() -> bool:
            return sorted(await world.completed()) == sorted(p.transfer_id for p in paid)

        await until(told)
    commands = [e for p, _, e in world.entries() if p == 3 and e.actor.WhichOneof("kind") == "service"]
    received = [journal.Event.FromString(v) for e in commands for v in e.events.events]
    assert len(received) == 300
    sent = [
        (p, block.sequence)
        for p, block, entry in world.entries()
        for event in (journal.Event.FromString(v) for v in entry.events.events)
        if event.WhichOneof("kind") == "transfer_sent"
    ]
    assert len(sent) == 300
    assert len(commands) <= len(set(sent)), "what left in one block travels in one command"
    assert len(set(sent)) < 300, "the disk was slow enough for transfers to share a block"
    assert violations(world.books()) == []


async def test_crashes_lost_answers_and_restarts_lose_and_double_nothing() -> None:
    world = World()
    users = [user_on(n % PARTITIONS, n // PARTITIONS) for n in range(8)]
    steps = 0

    def fault(step: str, _partition: int) -> None:
        nonlocal steps
        if step == "append.done":
            steps += 1
            if steps % 17 == 0:
                raise AppendUnknown("the answer was lost")

    wanted = [(users[n % 8], users[(n * 3 + 1) % 8], 5 + n, request_id()) for n in range(48)]
    wanted = [w for w in wanted if w[0] != w[1]]
    accepted: dict[str, str] = {}

    async def try_to_pay(payments: Payments, payer: str, payee: str, amount: int, request: str) -> None:
        try:
            answer = await pay(payments, payer, payee, amount, memo="م", request=request)
        except Exception:
            return
        assert accepted.setdefault(request, answer.transfer_id) == answer.transfer_id

    async with served(world) as payments:
        await asyncio.gather(*(bring_in(payments, user, 10_000) for user in users))
    for attempt in range(4):
        async with served(world, fault=fault, orderly=False) as payments:
            some = asyncio.gather(*(try_to_pay(payments, *w) for w in wanted[: 12 * (attempt + 1)]))
            await asyncio.wait((some,), timeout=0.05 if attempt % 2 else WAIT_SECONDS)
            some.cancel()
            await asyncio.wait((some,))
        assert violations(world.books()) == []
    async with served(world) as payments:
        await asyncio.gather(*(try_to_pay(payments, *w) for w in wanted))

        async def at_rest() -> bool:
            return in_transit_rials(world.books()) == 0

        await until(at_rest)

        async def told() -> bool:
            return sorted(await world.completed()) == sorted(accepted.values())

        await until(told)
        shown = {user: await balance(payments, user) for user in users}
    assert set(accepted) == {w[3] for w in wanted}
    expected = dict.fromkeys(users, 10_000)
    for payer, payee, amount, _ in wanted:
        expected[payer] -= amount
        expected[payee] += amount
    assert shown == expected
    assert violations(world.books()) == []
    assert wallets_rials(world.books()) == cash_in_rials(world.books()) == 80_000


async def test_a_hole_is_refused_now_and_the_same_command_is_taken_once_it_is_filled() -> None:
    world = World()

    def batch(first: int, name: str) -> peer.SubmittedCommand:
        credit = journal.Credit(transfer_id=name, payer_user_id=SARA, payee_user_id=MINA, amount_rials=first)
        command = journal.Command(
            apply_credits=journal.ApplyCredits(source_partition=0, first_sequence=first, credits=[credit])
        )
        made = make_request_id(SystemClock().now_ms(), name.encode() * 10)
        return peer.SubmittedCommand(request_id=made, source="payments/0", command=command.SerializeToString())

    async with served(world) as payments:
        one, two = batch(1, "a"), batch(2, "b")
        assert await payments.host.submit_commands(3, [two]) == [HOLE_REASON]
        assert await payments.host.submit_commands(3, [one, two, one, two]) == ["", "", "", ""]
        assert await balance(payments, MINA) == 3
