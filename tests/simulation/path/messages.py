"""The messages of the two services: described here, not in `protos`, for they exist for the simulator alone."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from chapar.sourcing.journal.v1 import journal_pb2

_PACKAGE = "chapar.testing.path"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_BOOL = descriptor_pb2.FieldDescriptorProto.TYPE_BOOL
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE

_FIELDS = [
    ("kind", _STRING),
    ("key", _STRING),
    ("other", _STRING),
    ("text", _STRING),
    ("number", _INT64),
    ("amount", _INT64),
    ("flag", _BOOL),
    ("time_ms", _INT64),
]
"""`kind` says which command or event it is, `key` whose document it is about, `other` what stands across from it."""


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="chapar/testing/path.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[journal_pb2.DESCRIPTOR.name],
    )
    for name in ("Command", "Event", "PublicEvent"):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(_FIELDS, 1):
            message.field.add(name=field, number=number, type=kind, label=1)
        message.field.add(
            name="creation", number=15, type=_MESSAGE, label=1, type_name=".chapar.sourcing.journal.v1.Creation"
        )
    return file


_FILE = descriptor_pool.Default().AddSerializedFile(_described().SerializeToString())
Command: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["Command"])
Event: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["Event"])
PublicEvent: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["PublicEvent"])
