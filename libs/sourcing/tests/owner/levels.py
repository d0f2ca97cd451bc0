"""Two releases of one service: the newer knows an event that needs schema level 2.

Their events are described here, not in `protos`: they exist for these tests alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.wrappers_pb2 import StringValue

from chapar.options.v1 import options_pb2
from chapar_sourcing.domain import Document, Documents, Key, Refused, When


def _event_type(release: str, fields: Mapping[str, int]) -> Any:
    """An `Event` with one text field a kind, by name with the level that it needs."""
    package = f"chapar.testing.levels.{release}"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3", dependency=[options_pb2.DESCRIPTOR.name]
    )
    event = file.message_type.add(name="Event")
    for number, (name, level) in enumerate(fields.items(), 1):
        kind = event.field.add(name=name, number=number, type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING, label=1)
        if level > 1:
            kind.options.Extensions[options_pb2.level] = level
    described = descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(described.message_types_by_name["Event"])


OldEvent = _event_type("old", {"added": 1})
NewEvent = _event_type("new", {"added": 1, "doubled": 2})


class Count(Document, frozen=True, array_like=True):
    """A number."""

    count: int


def count_key(name: str) -> Key:
    """A number's document."""
    return Key("count", name)


def wish(kind: str, name: str) -> StringValue:
    """The command for an event of this kind."""
    return StringValue(value=f"{kind} {name}")


class Counts:
    """Adds one to a number, or doubles it."""

    service = "counts"
    command_type = StringValue
    documents: Mapping[str, type[Document]] = {"count": Count}
    journals_refusals = True
    keeps_answers = False

    def __init__(self, event_type: Any) -> None:
        self.event_type = event_type

    def needs(self, command: StringValue) -> Sequence[Key]:
        return [count_key(command.value.split()[1])]

    def decide(self, documents: Documents, command: StringValue, now_ms: int) -> Sequence[Any] | Refused:
        kind, name = command.value.split()
        return [self.event_type(**{kind: name})]

    def touches(self, event: Any) -> Sequence[Key]:
        ((_, name),) = event.ListFields()
        return [count_key(name)]

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        count = document.count if isinstance(document, Count) else 0
        ((field, _),) = event.ListFields()
        return Count(count + 1 if field.name == "added" else 2 * count)


def old_release() -> Counts:
    """Knows level 1."""
    return Counts(OldEvent)


def new_release() -> Counts:
    """Knows level 2."""
    return Counts(NewEvent)
