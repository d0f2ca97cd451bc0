"""Keeps `tests/contracts/golden/stored.jsonl`: bytes of everything that is stored for ever, one sample a line.

A sample has every field set, to values that follow from its name and number; there is one for each alternative of each
`oneof`. Lines are only ever added: when an event gets a field, its old line stays and stands for what is in journals.
`tests/contracts/test_golden.py` shows that today's code still reads all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chapar.identity.events.v1 import events_pb2 as identity_events
from chapar.identity.journal.v1 import journal_pb2 as identity
from chapar.messaging.events.v1 import events_pb2 as messaging_events
from chapar.messaging.journal.v1 import journal_pb2 as messaging
from chapar.payments.events.v1 import events_pb2 as payments_events
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.presence.events.v1 import events_pb2 as presence_events
from chapar.presence.journal.v1 import journal_pb2 as presence
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing

TARGET = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "golden" / "stored.jsonl"
_EVENTS: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        identity, messaging, payments, presence,
        identity_events, messaging_events, payments_events, presence_events,
    )
)  # fmt: skip
_ENGINE = ("Record", "Entry", "Actor", "StreamRecord", "Answer")
STORED: tuple[Descriptor, ...] = (
    *(sourcing.DESCRIPTOR.message_types_by_name[name] for name in _ENGINE),
    *(file.message_types_by_name["Event"] for file in _EVENTS),
)  # fmt: skip
"""What journals, streams and answers are made of."""


def samples(stored: Descriptor) -> Iterator[Message]:
    """A message for each alternative of each oneof, every other field set; just one where there is no oneof."""
    alternatives = [field for oneof in stored.oneofs for field in oneof.fields]
    if not alternatives:
        yield _filled(stored)
    for chosen in alternatives:
        yield _filled(stored, chosen)


def _filled(descriptor: Descriptor, chosen: FieldDescriptor | None = None) -> Message:
    message: Message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None:
            first = oneof.fields[0] if chosen is None or chosen.containing_oneof is not oneof else chosen
            if field.number != first.number:
                continue
        _fill(message, field)
    return message


def _fill(message: Message, field: FieldDescriptor) -> None:
    kind = field.message_type
    held = getattr(message, field.name)
    if kind is not None and kind.GetOptions().map_entry:
        held["name"] = field.name
    elif field.is_repeated:
        held.extend([_value(field, place) for place in range(2)])
    elif kind is not None:
        held.CopyFrom(_filled(kind))
    else:
        setattr(message, field.name, _value(field, 0))


def _value(field: FieldDescriptor, place: int) -> Any:
    number = 1_000 * field.number + 7 + place
    if field.message_type is not None:
        return _filled(field.message_type)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    match field.type:
        case FieldDescriptor.TYPE_BOOL:
            return True
        case FieldDescriptor.TYPE_STRING:
            return f"{field.name} {number}"
        case FieldDescriptor.TYPE_BYTES:
            return f"{field.name} {number}".encode()
        case FieldDescriptor.TYPE_INT32:
            return number
        case FieldDescriptor.TYPE_INT64:
            return number << 32
        case other:
            raise ValueError(f"{field.full_name}: nothing of type {other} is stored")


def content_of(message: Message) -> Mapping[str, Any]:
    """What a message says, by the names of its fields."""
    return MessageToDict(message, preserving_proto_field_name=True)


def read() -> list[dict[str, Any]]:
    """The lines of the file."""
    return [json.loads(line) for line in TARGET.read_text("utf-8").splitlines()]


def main() -> None:
    """Adds what is missing."""
    kept = read() if TARGET.exists() else []
    known = {(line["type"], line["bytes"]) for line in kept}
    for stored in STORED:
        for sample in samples(stored):
            data = sample.SerializeToString(deterministic=True).hex()
            if (stored.full_name, data) not in known:
                kept.append({"type": stored.full_name, "bytes": data, "content": content_of(sample)})
    TARGET.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept), "utf-8")


if __name__ == "__main__":
    main()
