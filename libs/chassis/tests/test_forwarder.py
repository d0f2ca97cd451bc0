import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import grpc
import pytest
from prometheus_client import CollectorRegistry

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis import forwarder as module
from chapar_chassis.forwarder import ForwardFailed, GrpcForwarder, PeerTargets
from chapar_chassis.interceptors import metadata_of
from chapar_chassis.owner_server import make_refusals, make_server
from chapar_chassis.refusals import CallRefused, Refusals, error_info
from chapar_chassis.settings import ANY_LOOPBACK_PORT, Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tracing import Tracing
from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryMembers
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import Announcement, Unavailable

from . import toy
from .rig import AS_USER, COUNTERS, PARTITIONS, PATIENCE_SECONDS, PEER_TOKEN, new_id, running_toy

METHOD = "/owner.Owner/Do"
Handler = Callable[[bytes, Any], Awaitable[bytes]]


class Town:
    """Owners, the directory that names them, and a forwarder to them."""

    def __init__(self, closing: AsyncExitStack) -> None:
        self._closing = closing
        self.directory = MemoryDirectory()
        self.metrics, log = Metrics(CollectorRegistry()), make_logger("toy", "error")
        self._tracing, self._log = Tracing("toy"), log
        self.refusals: Refusals = make_refusals("toy", None, self.metrics, log)
        self.forwarder = GrpcForwarder(MemoryMembers(self.directory), PEER_TOKEN, self.refusals)
        closing.push_async_callback(self.forwarder.close)
        self.calls: list[str] = []

    async def open_owner(self, name: str, handler: Handler, listen: Address = ANY_LOOPBACK_PORT) -> str:
        """Starts an owner that answers with `handler`; returns its address."""

        async def serve(request: bytes, context: Any) -> bytes:
            self.calls.append(name)
            return await handler(request, context)

        server = make_server(self.refusals, PEER_TOKEN, self.metrics, self._tracing, self._log)
        methods: Any = {"Do": grpc.unary_unary_rpc_method_handler(serve)}
        server.add_handlers([grpc.method_handlers_generic_handler("owner.Owner", methods)])
        address = server.bind(listen)
        await server.start()
        self._closing.push_async_callback(server.stop, 0, turn_away_seconds=0)
        return str(address)

    def announce(self, address: str, epoch: int = 1) -> None:
        """Says that an address owns partition 3."""
        self.directory.announcements["toy"].append(Announcement(3, epoch, b"m" * 16, address))

    async def do(self, timeout_ms: int = 20_000, metadata: Any = ()) -> module.Forwarded:
        """One call for partition 3."""
        return await self.forwarder.unary("toy", 3, METHOD, b"asked", metadata=metadata, timeout_ms=timeout_ms)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with AsyncExitStack() as closing:
        yield Town(closing)


async def echo(request: bytes, context: Any) -> bytes:
    seen = metadata_of(context)
    context.set_trailing_metadata((("chapar-position-bin", b"\x00\x01"),))
    return b"|".join([request, *(seen.get(n, "-").encode() for n in ("chapar-partition", "chapar-user", "x"))])


async def refuse_ownership(request: bytes, context: Any) -> bytes:
    raise CallRefused("REASON_NOT_OWNER")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_bytes_and_metadata_pass_both_ways(town: Town) -> None:
    town.announce(await town.open_owner("owner", echo))
    answer = await town.do(metadata=(("chapar-user", "ali"), ("chapar-partition", "7"), ("x", "y")))
    assert answer.response == b"asked|3|ali|y"
    assert ("chapar-position-bin", b"\x00\x01") in answer.trailing


async def test_a_new_owner_is_found_when_the_old_one_says_no(town: Town) -> None:
    old = await town.open_owner("old", refuse_ownership)
    new = await town.open_owner("new", echo)
    town.announce(old)
    with pytest.raises(ForwardFailed):
        await town.do(timeout_ms=300)
    town.announce(new, epoch=2)
    assert (await town.do()).response.startswith(b"asked")
    assert town.calls[-1] == "new"


async def test_a_call_waits_for_an_owner_that_comes_back_within_the_deadline(town: Town) -> None:
    port = free_port()
    town.announce(f"127.0.0.1:{port}")
    calling = asyncio.create_task(town.do())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(calling), 0.3)
    await town.open_owner("back", echo, Address("127.0.0.1", port))
    assert (await calling).response.startswith(b"asked")


async def test_without_an_owner_a_call_ends_as_unavailable_and_in_time(town: Town) -> None:
    with pytest.raises(ForwardFailed) as raised:
        await asyncio.wait_for(town.do(timeout_ms=200), PATIENCE_SECONDS)
    assert raised.value.status.code is grpc.StatusCode.UNAVAILABLE
    assert error_info(raised.value.status.details)[0] == "REASON_UNAVAILABLE"


@pytest.mark.parametrize("last", ["REASON_NOT_OWNER", "REASON_OVERLOADED"])
async def test_a_try_that_may_have_been_decided_is_not_forgotten_when_a_later_one_was_not(
    town: Town, last: str
) -> None:
    """An owner that was killed may have decided; its successor, not yet the owner, says that it has not."""

    async def dies_then_refuses(request: bytes, context: Any) -> bytes:
        raise CallRefused("REASON_UNAVAILABLE" if len(town.calls) == 1 else last)

    town.announce(await town.open_owner("owner", dies_then_refuses))
    with pytest.raises(ForwardFailed) as raised:
        await town.do(timeout_ms=600)
    assert len(town.calls) > 1
    assert error_info(raised.value.status.details)[0] == "REASON_OUTCOME_UNKNOWN"


async def test_where_no_try_was_decided_the_caller_hears_so(town: Town) -> None:
    town.announce(await town.open_owner("owner", refuse_ownership))
    with pytest.raises(ForwardFailed) as raised:
        await town.do(timeout_ms=600)
    assert len(town.calls) > 1
    assert error_info(raised.value.status.details)[0] == "REASON_NOT_OWNER"


async def test_no_address_leaves_with_a_failure(town: Town) -> None:
    port = free_port()
    town.announce(f"127.0.0.1:{port}")
    with pytest.raises(ForwardFailed) as raised:
        await town.do(timeout_ms=200)
    assert str(port) not in f"{raised.value.status} {raised.value.trailing}"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("REASON_REQUEST_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS),
        ("REASON_OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("REASON_LOG_DAMAGED", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_refusal_passes_unchanged_and_is_not_tried_again(
    town: Town, reason: str, code: grpc.StatusCode
) -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        raise CallRefused(reason, {"k": "v"})

    town.announce(await town.open_owner("owner", refuse))
    with pytest.raises(ForwardFailed) as raised:
        await town.do()
    assert raised.value.status == town.refusals.of_reason(reason, {"k": "v"})
    assert raised.value.status.code is code
    assert town.calls == ["owner"]


async def test_an_owner_that_does_not_answer_costs_the_deadline_and_no_more(town: Town) -> None:
    async def hang(request: bytes, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    town.announce(await town.open_owner("owner", hang))
    with pytest.raises(ForwardFailed) as raised:
        await asyncio.wait_for(town.do(timeout_ms=200), PATIENCE_SECONDS)
    assert raised.value.status.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_info(raised.value.status.details)[0] == "REASON_DEADLINE_PASSED"


async def test_a_cancelled_caller_ends_the_call(town: Town) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def hang(request: bytes, context: Any) -> bytes:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return b""

    town.announce(await town.open_owner("owner", hang))
    calling = asyncio.create_task(town.do())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await entered.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await left.wait()


async def test_channels_to_addresses_of_the_past_are_closed(town: Town) -> None:
    for number in range(module.CHANNELS_MAX + 5):
        town.announce(f"127.0.0.1:{number + 1}", epoch=number + 1)
        await town.forwarder._channel("toy", town.directory.owners("toy"), 3)
    assert len(town.forwarder._channels) == module.CHANNELS_MAX
    assert "127.0.0.1:1" not in town.forwarder._channels


# ---- to a real owner


async def test_a_command_reaches_a_real_owner() -> None:
    async with running_toy() as running, AsyncExitStack() as closing:
        town = Town(closing)
        forwarder = GrpcForwarder(MemoryMembers(running.directory), PEER_TOKEN, town.refusals)
        closing.push_async_callback(forwarder.close)
        request = toy.AddRequest(request_id=new_id(), counter_id="c1", amount=3).SerializeToString()
        answer = await forwarder.unary(
            "toy", partition_of("c1", PARTITIONS), f"{COUNTERS}/Add", request, metadata=AS_USER, timeout_ms=20_000
        )
        assert toy.AddResponse.FromString(answer.response).value == 3


async def test_a_watch_shows_the_state_and_then_each_change() -> None:
    async with running_toy() as running, AsyncExitStack() as closing:
        town = Town(closing)
        forwarder = GrpcForwarder(MemoryMembers(running.directory), PEER_TOKEN, town.refusals)
        closing.push_async_callback(forwarder.close)
        await running.add("c1", 3)
        request = peer.WatchRequest(partition=partition_of("c1", PARTITIONS), key="c1", user_id="watcher")
        frames = cast("AsyncGenerator[peer.WatchResponse, None]", forwarder.watch("toy", request))
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(frames):
            assert (await anext(frames)).reset == b"3"
            await running.add("c1", 4)
            assert (await anext(frames)).hint == b"7"


async def test_a_watch_that_is_not_allowed_says_so() -> None:
    async with running_toy() as running, AsyncExitStack() as closing:
        town = Town(closing)
        forwarder = GrpcForwarder(MemoryMembers(running.directory), PEER_TOKEN, town.refusals)
        closing.push_async_callback(forwarder.close)
        request = peer.WatchRequest(partition=partition_of("c1", PARTITIONS), key="c1", user_id="stranger")
        with pytest.raises(ForwardFailed) as raised:
            await asyncio.wait_for(anext(aiter(forwarder.watch("toy", request))), PATIENCE_SECONDS)
        assert raised.value.status.code is grpc.StatusCode.PERMISSION_DENIED
        assert error_info(raised.value.status.details)[0] == "REASON_WATCH_REFUSED"


async def test_reactors_reach_partitions_elsewhere() -> None:
    async with running_toy() as running, AsyncExitStack() as closing:
        town = Town(closing)
        forwarder = GrpcForwarder(MemoryMembers(running.directory), PEER_TOKEN, town.refusals)
        closing.push_async_callback(forwarder.close)
        targets, partition = PeerTargets(forwarder, "toy"), partition_of("c1", PARTITIONS)
        commands = [
            peer.SubmittedCommand(
                request_id=bytes.fromhex(new_id().replace("-", "")),
                source="toy/0",
                command=toy.Command(counter_id="c1", amount=amount).SerializeToString(),
            )
            for amount in (5, 100)
        ]
        assert list(await targets.submit(partition, commands)) == ["", "REASON_LIMIT_REACHED"]
        await targets.advance(partition, [peer.Advance(key="ali", row="c1", fields={"head": b"\x05"})])
        assert await running.value("c1") == 5


async def test_reactors_are_told_when_nobody_owns_the_partition(town: Town) -> None:
    with pytest.raises(Unavailable):
        await PeerTargets(town.forwarder, "toy", timeout_ms=100).submit(3, [])
