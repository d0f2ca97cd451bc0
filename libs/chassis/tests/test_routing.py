import pytest

from chapar.messaging.v1 import messaging_pb2  # noqa: F401 - its services are looked up by name.
from chapar.options.v1 import options_pb2 as options
from chapar_chassis.routing import Place, RoutingInvalid, is_key, place_of, routes_of
from chapar_sourcing.partitions import partition_of, partition_of_slot

from . import toy

ROUTES = routes_of(toy.SERVICES)
ADD = ROUTES["/chapar.toy.v1.CounterService/Add"]
ADD_OPENLY = ROUTES["/chapar.toy.v1.CounterService/AddOpenly"]
GET_OWN = ROUTES["/chapar.toy.v1.CounterService/GetOwn"]


def test_a_route_says_what_descriptor_and_option_say() -> None:
    assert (ADD.name, ADD.service, ADD.mutating, ADD.server_streaming, ADD.local) == ("Add", "toy", True, False, False)
    assert ADD.audience == options.AUDIENCE_SESSION
    assert (ADD.request_type, ADD.response_type) == (toy.AddRequest, toy.AddResponse)
    assert {route.name for route in ROUTES.values()} == {"Add", "AddOpenly", "GetCounter", "GetOwn", "Inspect"}


def test_the_real_protos_make_a_table() -> None:
    routes = routes_of(["chapar.messaging.v1.MessagingService", "chapar.gateway.v1.GatewayService"])
    assert routes["/chapar.messaging.v1.MessagingService/SendMessage"].mutating
    assert routes["/chapar.gateway.v1.GatewayService/Subscribe"].server_streaming
    assert routes["/chapar.gateway.v1.GatewayService/Subscribe"].local


def test_a_method_without_the_option_is_not_in_the_table() -> None:
    assert routes_of(["chapar.toy.v1.ForgottenService"]) == {}


def test_contradicting_options_are_refused() -> None:
    with pytest.raises(RoutingInvalid, match="needs a string field 'nothing'"):
        routes_of(["chapar.toy.v1.ConfusedService"])


def test_a_service_whose_module_was_not_imported_is_named() -> None:
    with pytest.raises(RoutingInvalid, match=r"no descriptor of chapar\.nowhere\.v1\.Nothing"):
        routes_of(["chapar.nowhere.v1.Nothing"])


def test_the_key_comes_from_the_field_that_the_option_names() -> None:
    assert place_of(ADD, toy.AddRequest(counter_id="c1"), "user", 16) == Place("c1", partition_of("c1", 16))


def test_the_key_is_the_sessions_user_where_the_option_says_so() -> None:
    assert place_of(GET_OWN, toy.GetOwnRequest(), "user", 16) == Place("user", partition_of("user", 16))
    assert place_of(GET_OWN, toy.GetOwnRequest(), "", 16) is None


def test_a_slot_prefixed_id_carries_its_partition() -> None:
    place = place_of(ADD_OPENLY, toy.AddOpenlyRequest(ticket="s1a2b.abc"), "", 16)
    assert place == Place("s1a2b.abc", partition_of_slot(0x1A2B, 16))


@pytest.mark.parametrize("ticket", ["", "abc", "s1A2B.abc", "s4000.abc", "s1a2b", "s1a2b.a c", "s1a2b." + "x" * 300])
def test_a_slot_prefix_has_one_canonical_form(ticket: str) -> None:
    assert place_of(ADD_OPENLY, toy.AddOpenlyRequest(ticket=ticket), "", 16) is None


@pytest.mark.parametrize("key", ["", "a b", "a\0", "a\n", "سلام", "x" * 257, "a\u200d", "é"])
def test_what_no_key_can_be(key: str) -> None:
    assert not is_key(key)
    assert place_of(ADD, toy.AddRequest(counter_id=key), "", 16) is None


def test_what_a_key_can_be() -> None:
    assert is_key("+989121234567")
    assert is_key("d.aaaa.bbbb")
    assert is_key("x" * 256)


def test_bytes_that_are_not_the_request_parse_as_none() -> None:
    assert ADD.parse(b"\xff\xff\xff") is None
    assert ADD.parse(b"\x12\x02\xff\xfe") is None, "a string field must be UTF-8"
    assert ADD.parse(toy.AddRequest(amount=3).SerializeToString()) == toy.AddRequest(amount=3)
