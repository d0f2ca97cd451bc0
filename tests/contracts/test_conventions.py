"""Every proto keeps the conventions, and every RPC says what a gateway must know of it."""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

from chapar.options.v1 import options_pb2 as options

PROTOS = Path(__file__).resolve().parents[2] / "protos"
SOURCES = sorted(PROTOS.rglob("*.proto"))
UNSIGNED_AND_FLOATS = {
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_FLOAT,
    FieldDescriptor.TYPE_DOUBLE,
}


def files() -> list[FileDescriptor]:
    found = []
    for source in SOURCES:
        name = source.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".") + "_pb2"
        found.append(importlib.import_module(name).DESCRIPTOR)
    return found


FILES = files()


def messages() -> Iterator[Descriptor]:
    for file in FILES:
        yield from file.message_types_by_name.values()


def enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.enum_types_by_name.values()


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


def named(thing: Descriptor | EnumDescriptor | MethodDescriptor) -> str:
    return str(thing.full_name)


METHODS = list(methods())
MESSAGES = list(messages())
ENUMS = list(enums())
PUBLIC = (options.AUDIENCE_PUBLIC, options.AUDIENCE_SESSION, options.AUDIENCE_OPERATOR)


def option_of(method: MethodDescriptor) -> options.Method:
    return method.GetOptions().Extensions[options.method]


def test_there_is_something_to_check() -> None:
    assert len(METHODS) > 30
    assert len(MESSAGES) > 100


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_folder_is_package(file: FileDescriptor) -> None:
    assert file.package == str(Path(file.name).parent).replace("/", ".")
    assert re.fullmatch(r"chapar(\.[a-z]+)+\.v\d+", file.package)


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_rpc_has_its_options_whole(method: MethodDescriptor) -> None:
    option = option_of(method)
    assert option.audience != options.AUDIENCE_UNSPECIFIED
    assert option.priority != options.PRIORITY_UNSPECIFIED
    assert option.rate_class != options.RATE_CLASS_UNSPECIFIED
    assert option.routing.WhichOneof("key") is not None


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_rpc_has_messages_of_its_own(method: MethodDescriptor) -> None:
    assert method.containing_service.name.endswith("Service")
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_routing_names_a_text_field_of_the_request(method: MethodDescriptor) -> None:
    routing = option_of(method).routing
    name = routing.field or routing.slot_prefixed_field
    if name:
        assert method.input_type.fields_by_name[name].type == FieldDescriptor.TYPE_STRING
    else:
        assert routing.session_user or routing.local


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_session_users_are_routed_only_for_sessions(method: MethodDescriptor) -> None:
    option = option_of(method)
    if option.routing.session_user:
        assert option.audience == options.AUDIENCE_SESSION


@pytest.mark.parametrize("method", [m for m in METHODS if option_of(m).audience in PUBLIC], ids=named)
def test_changing_rpcs_and_only_those_have_a_request_id(method: MethodDescriptor) -> None:
    field = method.input_type.fields_by_name.get("request_id")
    assert (field is not None) == option_of(method).mutating
    if field is not None:
        assert field.type == FieldDescriptor.TYPE_STRING
        assert field.number == 1


@pytest.mark.parametrize("method", [m for m in METHODS if m.name.startswith("List")], ids=named)
def test_lists_page_from_the_first_day(method: MethodDescriptor) -> None:
    asked, told = method.input_type.fields_by_name, method.output_type.fields_by_name
    assert "page_size" in asked
    by_token = "page_token" in asked and "next_page_token" in told
    by_sequence = "from_sequence" in asked and "next_from_sequence" in told
    assert by_token or by_sequence


@pytest.mark.parametrize("message", MESSAGES, ids=named)
def test_no_unsigned_no_floats_and_money_in_rials(message: Descriptor) -> None:
    for field in message.fields:
        assert field.type not in UNSIGNED_AND_FLOATS, field.full_name
        if "amount" in field.name or "balance" in field.name:
            assert field.name.endswith("_rials"), field.full_name
        if field.name.endswith("_rials") or field.name.endswith("_ms"):
            assert field.type == FieldDescriptor.TYPE_INT64, field.full_name
        assert "timestamp" not in field.name, f"{field.full_name}: times end with _time_ms"


@pytest.mark.parametrize("enum", ENUMS, ids=named)
def test_enums_begin_unspecified_and_carry_their_name(enum: EnumDescriptor) -> None:
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper()
    assert enum.values[0].name == f"{prefix}_UNSPECIFIED"
    assert enum.values[0].number == 0
    assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


@pytest.mark.parametrize("enum", [e for e in ENUMS if e.name == "Reason"], ids=named)
def test_every_reason_says_which_status_goes_with_it(enum: EnumDescriptor) -> None:
    for value in enum.values[1:]:
        assert value.GetOptions().Extensions[options.status] != options.STATUS_CODE_UNSPECIFIED, value.name


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PROTOS)))
def test_every_field_rpc_and_value_has_a_sentence(source: Path) -> None:
    lines = [line.strip() for line in source.read_text().splitlines()]
    definition = re.compile(r"(rpc \w+\(|(repeated |map<.*> )?[\w.]+ \w+ = \d+|[A-Z_0-9]+ = \d+)")
    for above, line in itertools.pairwise(lines):
        if definition.match(line) and not line.endswith("_UNSPECIFIED = 0;"):
            assert above.startswith("//"), f"{source.name}: {line}"
