from collections.abc import Mapping

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from chapar.gateway.v1 import gateway_pb2
from chapar_chassis.refusals import CallEnded, CallRefused, CallStatus, Refusals, error_info
from chapar_sourcing.domain import Refused
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.watch import WatchRefused

from . import toy


@pytest.fixture
def incidents() -> list[tuple[str, BaseException]]:
    return []


@pytest.fixture
def refusals(incidents: list[tuple[str, BaseException]]) -> Refusals:
    return Refusals("toy", toy.REASONS, lambda incident, error: incidents.append((incident, error)))


def unpacked(status: CallStatus) -> tuple[error_details_pb2.ErrorInfo, int | None]:
    """The ErrorInfo, and the retry delay in milliseconds."""
    info, retry, delay_ms = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), None
    whole = status_pb2.Status.FromString(status.details)
    assert (whole.code, whole.message) == (status.code.value[0], status.message)
    for detail in whole.details:
        if detail.Unpack(retry):
            delay_ms = retry.retry_delay.ToMilliseconds()
        else:
            assert detail.Unpack(info)
    return info, delay_ms


def test_a_services_reason_has_the_status_its_proto_gives_it(refusals: Refusals) -> None:
    status = refusals.of_refused(Refused("REASON_LIMIT_REACHED", {"limit": "100"}))
    info, delay_ms = unpacked(status)
    assert status.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (info.reason, info.domain, dict(info.metadata)) == ("REASON_LIMIT_REACHED", "toy.chapar", {"limit": "100"})
    assert delay_ms is None
    assert error_info(status.details) == ("REASON_LIMIT_REACHED", {"limit": "100"})


def test_a_reason_of_the_engine_is_the_gateways(refusals: Refusals) -> None:
    status = refusals.of_reason("REASON_OVERLOADED")
    info, delay_ms = unpacked(status)
    assert status.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (info.domain, delay_ms) == ("gateway.chapar", 250)


def test_every_reason_of_the_gateway_has_a_status(refusals: Refusals) -> None:
    for name in gateway_pb2.Reason.keys():  # noqa: SIM118 - not a mapping.
        if name != "REASON_UNSPECIFIED":
            assert refusals.of_reason(name).code is not grpc.StatusCode.INTERNAL, name


def test_a_refusal_says_when_to_try_again_where_its_rule_knows(refusals: Refusals) -> None:
    assert unpacked(refusals.of_reason("REASON_LIMIT_REACHED", {"retry_after_ms": "1500"}))[1] == 1_500
    assert unpacked(refusals.of_reason("REASON_LIMIT_REACHED", {"retry_after_ms": "soon"}))[1] is None


def test_a_retry_is_not_promised_where_it_does_not_help(refusals: Refusals) -> None:
    assert unpacked(refusals.of_reason("REASON_LOG_DAMAGED"))[1] is None


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (CallRefused("REASON_KEY_INVALID"), grpc.StatusCode.INVALID_ARGUMENT, "REASON_KEY_INVALID"),
        (EngineRefused("REASON_NOT_OWNER"), grpc.StatusCode.UNAVAILABLE, "REASON_NOT_OWNER"),
        (Unavailable("the disk at /dev/sda"), grpc.StatusCode.UNAVAILABLE, "REASON_UNAVAILABLE"),
        (LogDamaged("offset 7"), grpc.StatusCode.UNAVAILABLE, "REASON_LOG_DAMAGED"),
        (TimeoutError("late"), grpc.StatusCode.DEADLINE_EXCEEDED, "REASON_DEADLINE_PASSED"),
        (WatchRefused("no"), grpc.StatusCode.PERMISSION_DENIED, "REASON_WATCH_REFUSED"),
    ],
)
def test_errors_that_are_expected_have_a_reason(
    refusals: Refusals, incidents: list[object], error: Exception, code: grpc.StatusCode, reason: str
) -> None:
    status = refusals.of_error(error)
    assert (status.code, status.message) == (code, reason)
    assert incidents == []


def test_an_unexpected_error_leaves_only_an_incident_id(
    refusals: Refusals, incidents: list[tuple[str, BaseException]]
) -> None:
    error = ValueError("+989121234567 has the code 123456")
    status = refusals.of_error(error)
    assert (status.code, status.message) == (grpc.StatusCode.INTERNAL, "REASON_INTERNAL")
    assert b"123456" not in status.details
    assert incidents == [(error_info(status.details)[1]["incident_id"], error)]


def test_a_reason_that_no_enum_names_is_a_bug(refusals: Refusals, incidents: list[object]) -> None:
    assert refusals.of_reason("REASON_INVENTED").code is grpc.StatusCode.INTERNAL
    assert len(incidents) == 1


def test_a_status_made_elsewhere_passes_unchanged(refusals: Refusals) -> None:
    status = CallStatus(grpc.StatusCode.ABORTED, "REASON_X", b"details")
    assert refusals.of_error(CallEnded(status)) is status


@pytest.mark.parametrize("details", [b"", b"\xff", status_pb2.Status(code=3).SerializeToString()])
def test_details_without_error_info_say_nothing(details: bytes) -> None:
    nothing: tuple[str, Mapping[str, str]] = ("", {})
    assert error_info(details) == nothing
