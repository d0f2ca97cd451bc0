import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest

from chapar_chassis.api import Caller, CommandRpc
from chapar_chassis.callers import timeout_ms_of
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.public_rpcs import ServedBy, public_handlers
from chapar_chassis.refusals import CallRefused
from chapar_chassis.routing import RoutingInvalid
from chapar_chassis.rpc_server import MESSAGE_BYTES_MAX
from chapar_sourcing.domain import Key
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.refusing import NOT_OWNER, EngineRefused
from chapar_sourcing.view import View

from . import toy
from .rig import AS_OPERATOR, AS_USER, COUNTERS, PARTITIONS, POSITION_KEY, Failed, Toy, eventually, new_id, running_toy


@pytest.fixture
async def running() -> AsyncIterator[Toy]:
    async with running_toy() as started:
        yield started


def refused(outcome: object, code: grpc.StatusCode, reason: str) -> Failed:
    """Asserts how a call failed."""
    assert isinstance(outcome, Failed), outcome
    assert (outcome.code, outcome.reason) == (code, reason)
    return outcome


# ---- what goes well


async def test_a_command_is_decided_and_a_query_sees_it(running: Toy) -> None:
    assert await running.add("c1", 3) == 3
    assert await running.add("c1", 4) == 7
    assert await running.value("c1") == 7
    assert await running.value("c2") == 0


async def test_a_repeated_request_gets_the_first_answer_with_a_mark(running: Toy) -> None:
    request_id = new_id()
    assert await running.add("c1", 3, request_id=request_id) == 3
    assert "chapar-replayed" not in running.trailing
    assert await running.add("c1", 4) == 7
    assert await running.add("c1", 3, request_id=request_id) == 3
    assert running.trailing["chapar-replayed"] == "1"
    assert await running.value("c1") == 7


async def test_a_request_id_used_for_something_else_is_refused(running: Toy) -> None:
    request_id = new_id()
    await running.add("c1", 3, request_id=request_id)
    outcome = await running.add("c1", 4, request_id=request_id)
    refused(outcome, grpc.StatusCode.ALREADY_EXISTS, "REASON_REQUEST_ID_REUSED")
    assert await running.value("c1") == 3


async def test_where_the_content_key_is_gone_the_first_answer_is_given_and_says_so(running: Toy) -> None:
    request_id = new_id()
    assert await running.add("c1", 3, request_id=request_id) == 3
    forced = running.host.now_ms + 1_000
    await running.keyring.force("ali", forced)
    assert await running.add("c1", 3, request_id=request_id) == 3
    assert "chapar-erased" not in running.trailing
    assert await running.keyring.destroy("ali", forced) == 1
    assert await running.add("c1", 4, request_id=request_id) == 3
    assert (running.trailing["chapar-replayed"], running.trailing["chapar-erased"]) == ("1", "1")
    assert await running.value("c1") == 3


async def test_a_command_that_took_too_long_to_make_is_made_again() -> None:
    made = 0

    async def prepare(request: Any, caller: Caller, view: View) -> Any:
        nonlocal made
        made += 1
        if made == 1:
            with contextlib.suppress(TimeoutError):
                await view.wait_until(Key("counter", "never"), bool, deadline_ms=view.now_ms + 300)
        return await toy.prepare_add(request, caller, view)

    api = toy.toy_api()
    commands = {**api.commands, "Add": CommandRpc(prepare, toy.reply_add)}
    async with running_toy(toy.toy_api(commands=commands), sealed_ms_max=300) as running:
        assert await running.add("c1", 3) == 3
        assert made == 2
        assert await running.value("c1") == 3


async def test_request_ids_of_two_users_do_not_meet(running: Toy) -> None:
    request_id = new_id()
    other = (("chapar-user", "sara"), ("chapar-session", "session-2"))
    assert await running.add("c1", 3, request_id=request_id) == 3
    assert await running.add("c1", 4, request_id=request_id, metadata=other) == 7


async def test_an_operator_is_known_by_name(running: Toy) -> None:
    request = toy.InspectRequest(counter_id="c1").SerializeToString()
    reply = await running.send("/chapar.toy.v1.CounterOperatorService/Inspect", request, AS_OPERATOR)
    assert isinstance(reply, bytes)
    assert toy.InspectResponse.FromString(reply).operator == "cashier"


async def test_a_stranger_may_call_what_is_public(running: Toy) -> None:
    request = toy.AddOpenlyRequest(request_id=new_id(), ticket="s0001.abc").SerializeToString()
    reply = await running.send(f"{COUNTERS}/AddOpenly", request, ())
    assert isinstance(reply, bytes)
    assert toy.AddOpenlyResponse.FromString(reply).value == 1


# ---- refusals


async def test_a_refusal_by_the_rules_carries_reason_and_detail(running: Toy) -> None:
    outcome = refused(await running.add("c1", 101), grpc.StatusCode.FAILED_PRECONDITION, "REASON_LIMIT_REACHED")
    assert outcome.detail["limit"] == "100"


async def test_a_journaled_refusal_is_the_same_for_ever(running: Toy) -> None:
    request_id = new_id()
    await running.add("c1", 50)
    for _ in range(2):
        outcome = await running.add("c1", 60, request_id=request_id)
        refused(outcome, grpc.StatusCode.FAILED_PRECONDITION, "REASON_LIMIT_REACHED")
    assert await running.value("c1") == 50


async def test_a_refusal_of_form_comes_before_anything_is_decided(running: Toy) -> None:
    refused(await running.add("c1", -1), grpc.StatusCode.INVALID_ARGUMENT, "REASON_AMOUNT_INVALID")


async def test_finishing_may_refuse_what_was_decided(running: Toy) -> None:
    outcome = refused(await running.add("c1", 42), grpc.StatusCode.INVALID_ARGUMENT, "REASON_AMOUNT_INVALID")
    assert outcome.detail == {"finished": "yes"}
    assert await running.value("c1") == 42


async def test_no_text_of_an_error_leaves_the_process(running: Toy) -> None:
    for outcome in (await running.add("c1", 13), await running.value("broken")):
        broken = refused(outcome, grpc.StatusCode.INTERNAL, "REASON_INTERNAL")
        assert "swordfish" not in broken.text
        incidents = {line.get("incident_id") for line in running.lines() if line["event"] == "incident"}
        assert broken.detail["incident_id"] in incidents
        assert "swordfish" not in running.output.getvalue()
    assert await running.add("c1", 1) == 1, "the next call is served"


# ---- who may call


async def test_a_process_without_the_peer_token_is_turned_away(running: Toy) -> None:
    for token, reason in (("", "REASON_TOKEN_MISSING"), ("cd" * 32, "REASON_TOKEN_INVALID")):
        running.peer_token = token
        refused(await running.add("c1", 1), grpc.StatusCode.UNAUTHENTICATED, reason)
        watch = "/chapar.sourcing.peer.v1.OwnerService/Watch"
        refused(await running.send(watch, b""), grpc.StatusCode.UNAUTHENTICATED, reason)


async def test_a_strangers_name_for_a_method_reaches_no_log_and_no_metric(running: Toy) -> None:
    running.peer_token = ""
    outcome = await running.send("/stranger.Service/Swordfish", b"")
    assert isinstance(outcome, Failed)
    assert outcome.code is grpc.StatusCode.UNIMPLEMENTED
    assert "Swordfish" not in running.output.getvalue()
    assert b"Swordfish" not in generate_latest(running.metrics.registry)


@pytest.mark.parametrize("metadata", [(), AS_USER[:1], AS_USER[1:], AS_OPERATOR, (("chapar-user", "a b"), AS_USER[1])])
async def test_a_session_method_needs_a_session(running: Toy, metadata: tuple[tuple[str, str], ...]) -> None:
    refused(await running.add("c1", 1, metadata=metadata), grpc.StatusCode.UNAUTHENTICATED, "REASON_TOKEN_MISSING")


async def test_an_operator_method_does_not_exist_for_users(running: Toy) -> None:
    request = toy.InspectRequest(counter_id="c1").SerializeToString()
    outcome = await running.send("/chapar.toy.v1.CounterOperatorService/Inspect", request, AS_USER)
    refused(outcome, grpc.StatusCode.UNIMPLEMENTED, "REASON_METHOD_UNKNOWN")


async def test_a_method_without_option_or_name_is_not_served(running: Toy) -> None:
    for method in ("/chapar.toy.v1.ForgottenService/Forget", f"{COUNTERS}/Nothing"):
        outcome = await running.send(method, b"")
        assert isinstance(outcome, Failed)
        assert outcome.code is grpc.StatusCode.UNIMPLEMENTED


# ---- bad calls


async def test_bytes_that_are_no_request_are_malformed(running: Toy) -> None:
    outcome = await running.send(f"{COUNTERS}/Add", b"\xff\xff\xff")
    refused(outcome, grpc.StatusCode.INVALID_ARGUMENT, "REASON_REQUEST_MALFORMED")


@pytest.mark.parametrize("request_id", ["", "1", "00000000-0000-4000-8000-000000000000", "0" * 36])
async def test_a_command_needs_a_request_id(running: Toy, request_id: str) -> None:
    outcome = await running.add("c1", 1, request_id=request_id)
    refused(outcome, grpc.StatusCode.INVALID_ARGUMENT, "REASON_REQUEST_ID_INVALID")


async def test_a_request_id_from_the_future_is_told_the_time(running: Toy) -> None:
    outcome = await running.add("c1", 1, request_id="ffffffff-ffff-7fff-bfff-ffffffffffff")
    future = refused(outcome, grpc.StatusCode.FAILED_PRECONDITION, "REASON_REQUEST_ID_IN_FUTURE")
    assert int(future.detail["server_time_ms"]) > 0


async def test_a_key_that_is_not_canonical_is_refused(running: Toy) -> None:
    refused(await running.add("c 1", 1), grpc.StatusCode.INVALID_ARGUMENT, "REASON_KEY_INVALID")
    refused(await running.value(""), grpc.StatusCode.INVALID_ARGUMENT, "REASON_KEY_INVALID")


async def test_a_call_for_another_partition_is_not_ours(running: Toy) -> None:
    partition = (partition_of("c1", PARTITIONS) + 1) % PARTITIONS
    outcome = await running.add("c1", 1, metadata=(*AS_USER, ("chapar-partition", str(partition))))
    refused(outcome, grpc.StatusCode.UNAVAILABLE, "REASON_NOT_OWNER")


async def test_an_oversize_request_is_refused(running: Toy) -> None:
    outcome = await running.add("c" * MESSAGE_BYTES_MAX, 1)
    refused(outcome, grpc.StatusCode.INVALID_ARGUMENT, "REASON_ENTRY_TOO_LARGE")
    outcome = await running.add("c" * 5_000_000, 1)
    assert isinstance(outcome, Failed)
    assert outcome.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_oversize_metadata_is_refused(running: Toy) -> None:
    outcome = await running.add("c1", 1, metadata=(*AS_USER, ("x", "y" * 40_000)))
    assert isinstance(outcome, Failed)
    assert outcome.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_that_runs_out_of_time_is_decided_once_at_most(running: Toy) -> None:
    request_id = new_id()
    outcome = await running.add("c1", 1, timeout=0.000_01, request_id=request_id)
    assert isinstance(outcome, Failed)
    assert outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await running.add("c1", 1, request_id=request_id) == 1


@pytest.mark.parametrize("remaining", [0.0, -0.5])
def test_a_deadline_that_has_passed_is_refused_before_anything_is_decided(remaining: float) -> None:
    class Late:
        def time_remaining(self) -> float:
            return remaining

    with pytest.raises(CallRefused) as refusal:
        timeout_ms_of(Late())
    assert refusal.value.reason == "REASON_DEADLINE_PASSED"


async def test_a_call_without_deadline_is_served(running: Toy) -> None:
    assert await running.add("c1", 1, timeout=None) == 1


# ---- positions


async def test_answers_say_how_far_the_partition_was(running: Toy) -> None:
    await running.add("c1", 1)
    tokens = PositionTokens(POSITION_KEY, "toy", running.host.generation)
    partition = partition_of("c1", PARTITIONS)
    offset = tokens.least_offset([running.trailing["chapar-position-bin"]], partition)
    assert offset == running.host.offset(partition) >= 0
    assert await running.value("c1", metadata=(*AS_USER, ("chapar-position-bin", tokens.make(partition, offset)))) == 1


async def test_a_command_whose_partition_ends_while_it_is_answered_is_not_told_to_be_undecided(
    running: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset, asked = running.host.offset, 0

    def given_up(partition: int) -> int:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise EngineRefused(NOT_OWNER)
        return offset(partition)

    request_id = new_id()
    monkeypatch.setattr(running.host, "offset", given_up)
    failed = await running.add("c1", 1, request_id=request_id)
    assert isinstance(failed, Failed)
    assert failed.reason == "REASON_OUTCOME_UNKNOWN"
    monkeypatch.undo()
    assert await running.add("c1", 1, request_id=request_id) == 1
    assert await running.value("c1") == 1


async def test_a_confirmed_owner_behind_what_a_client_saw_decides_nothing_more(running: Toy) -> None:
    await running.add("c1", 1)
    tokens = PositionTokens(POSITION_KEY, "toy", running.host.generation)
    ahead = (*AS_USER, ("chapar-position-bin", tokens.make(partition_of("c1", PARTITIONS), 1_000_000)))
    refused(await running.value("c1", metadata=ahead), grpc.StatusCode.UNAVAILABLE, "REASON_NOT_OWNER")
    alarms = [line for line in running.lines() if line["event"] == "ahead"]
    assert [line["offset"] for line in alarms] == [1_000_000], "a confirmed owner that is behind says so"
    assert not running.host.ready
    refused(await running.value("c1"), grpc.StatusCode.UNAVAILABLE, "REASON_LOG_DAMAGED")
    refused(await running.add("c1", 1), grpc.StatusCode.UNAVAILABLE, "REASON_LOG_DAMAGED")


async def test_a_forged_position_says_nothing(running: Toy) -> None:
    await running.add("c1", 1)
    forged = PositionTokens(bytes(32), "toy", running.host.generation).make(partition_of("c1", PARTITIONS), 1_000_000)
    assert await running.value("c1", metadata=(*AS_USER, ("chapar-position-bin", forged))) == 1


# ---- apis that do not match


def served_by(running: Toy) -> ServedBy:
    return ServedBy(running.host, running.keyring, PositionTokens(POSITION_KEY, "toy", 1), toy.Event)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"queries": {}}, "GetCounter is not among the queries"),
        ({"commands": {}}, "Add is mutating and not among the commands"),
        ({"commands": {**toy.toy_api().commands, "Fly": None}}, "Fly is in no proto"),
        ({"proto_services": (*toy.SERVICES, "chapar.toy.v1.ForgottenService")}, "Forget has no method option"),
        ({"queries": {**toy.toy_api().queries, "Add": None}}, "Add is a query and mutating"),
        ({"commands": {**toy.toy_api().commands, "GetOwn": None}}, "GetOwn is a command and not mutating"),
    ],
)
async def test_an_api_that_does_not_match_its_protos_is_refused(
    running: Toy, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(RoutingInvalid, match=problem):
        public_handlers(toy.toy_api(**changes), served_by(running))


async def test_calls_are_measured_and_logged_without_what_they_carried(running: Toy) -> None:
    await running.add("c1", 3)
    await running.add("c1", 0)
    counted = running.metrics.registry.get_sample_value
    labels = {"rpc": f"{COUNTERS}/Add"}
    await eventually(lambda: len([line for line in running.lines() if line["event"] == "call"]) == 2)
    assert counted("chapar_rpc_seconds_count", {**labels, "code": "OK"}) == 1
    assert counted("chapar_rpc_seconds_count", {**labels, "code": "INVALID_ARGUMENT"}) == 1
    await eventually(lambda: counted("chapar_rpc_running", labels) == 0)
    calls = [line for line in running.lines() if line["event"] == "call"]
    assert [(line["rpc"], line["status"]) for line in calls] == [
        (f"{COUNTERS}/Add", "OK"),
        (f"{COUNTERS}/Add", "INVALID_ARGUMENT"),
    ]
