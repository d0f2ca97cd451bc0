"""Figures through everything: SDK, gateway, owners, SQLite with an fsync a block, all on this one machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, percentile
from bench.progress import Bars
from chapar_client.sdk import Client, MessageReceived, OperatorClient, StateStore, direct_conversation_id
from chapar_client.up import Installation, SignInCodes, Supervisor

MESSAGES = 600
PAYMENTS = 300
AT_ONCE = 32


async def _signed_in(supervisor: Supervisor, codes: SignInCodes, folder: Path, number: int) -> Client:
    phone = f"+98912000{number:04d}"
    client = Client(supervisor.gateway_address, StateStore(folder / f"client-{number}.db"))
    await client.__aenter__()
    challenge = await client.identity.start_sign_in(phone)
    await client.identity.complete_sign_in(challenge.challenge_id, await codes.next(phone), "bench")
    return client


async def _timed(count: int, at_once: int, act: Callable[[int], Awaitable[object]]) -> tuple[float, list[float]]:
    numbers = iter(range(count))
    latencies: list[float] = []

    async def worker() -> None:
        for number in numbers:
            start = time.perf_counter()
            await act(number)
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return time.perf_counter() - start, latencies


def _figures(name: str, unit: str, count: int, at_once: int, seconds: float, latencies: list[float]) -> list[Figure]:
    how = f"{count} from two clients in one process, {at_once} at once; client, 5 services share the cores"
    return [
        Figure("end to end", f"{name}, {at_once} at once", count / seconds, f"{unit}/s", how),
        Figure("end to end", f"{name} p50, {at_once} at once", percentile(latencies, 0.5) * 1000, "ms", how),
        Figure("end to end", f"{name} p99, {at_once} at once", percentile(latencies, 0.99) * 1000, "ms", how),
    ]


async def _delivery(sara: Client, ali: Client, conversation: str) -> Figure:
    """From before the send to the moment the other client holds the message."""
    delays: list[float] = []
    started: dict[str, float] = {}
    async with ali.inbox() as inbox:
        await anext(aiter(inbox))
        for number in range(100):
            text = f"delivery {number}"
            started[text] = time.perf_counter()
            await sara.messaging.send_message(conversation, text)
            async for update in inbox:
                if isinstance(update, MessageReceived) and update.message.text == text:
                    delays.append(time.perf_counter() - started[text])
                    break
    how = "100 messages one after the other, sender and receiver in one process"
    return Figure("end to end", "message to the other client, p50", percentile(delays, 0.5) * 1000, "ms", how)


async def end_to_end_figures(bars: Bars) -> list[Figure]:
    """Starts an installation on a temporary folder and sends messages and payments through it."""
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="chapar-bench-") as scratch:
        folder, codes = Path(scratch), SignInCodes()
        async with Supervisor(Installation(folder / "data"), on_line=codes.line) as supervisor:
            sara = await _signed_in(supervisor, codes, folder, 1)
            ali = await _signed_in(supervisor, codes, folder, 2)
            sara_id, ali_id = (await sara.session()).user_id, (await ali.session()).user_id
            conversation = direct_conversation_id(sara_id, ali_id)
            for at_once, count in ((1, 100), (AT_ONCE, MESSAGES)):
                with bars.step(f"end to end: messages, {at_once} at once", count):
                    timed = await _timed(
                        count, at_once, lambda n: (sara, ali)[n % 2].messaging.send_message(conversation, f"سلام {n}")
                    )
                figures += _figures("messages sent", "messages", count, at_once, *timed)
            with bars.step("end to end: delivery"):
                figures.append(await _delivery(sara, ali, conversation))
            token = (folder / "data" / "secrets" / "operator.token").read_text().strip()
            operator = OperatorClient(supervisor.operator_address, token)
            for user in (sara_id, ali_id):
                await operator.cash_in(user, 1_000_000_000, "bench")
            await operator.close()
            for at_once, count in ((1, 100), (AT_ONCE, PAYMENTS)):
                with bars.step(f"end to end: payments, {at_once} at once", count):
                    timed = await _timed(
                        count, at_once, lambda n: (sara, ali)[n % 2].payments.transfer((ali_id, sara_id)[n % 2], 10)
                    )
                figures += _figures("payments accepted", "payments", count, at_once, *timed)
            await sara.close()
            await ali.close()
    return figures
