"""What docs/evolution.md says of releases that read each other's bytes."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from chapar.payments.events.v1 import events_pb2 as payments
from chapar_sourcing.digest import digest_of
from chapar_sourcing.domain import Document, Key, Stored, decode, encode
from chapar_sourcing.positions import Position

KEY = Key("count", "", "one")


class Before(Document, frozen=True, array_like=True):
    """A document of the release before."""

    count: int


class After(Document, frozen=True, array_like=True):
    """The same with a field appended."""

    count: int
    note: str = "not known"


def test_documents_are_read_by_the_release_before_and_after() -> None:
    assert decode({"count": After}, KEY, encode(Before(3))) == After(3)
    assert decode({"count": Before}, KEY, encode(After(3, "new"))) == Before(3)


def test_a_document_of_before_is_not_the_bytes_of_a_fresh_fold() -> None:
    at = Position(5, 0)
    kept, fresh = Stored(at, encode(Before(3))), Stored(at, encode(After(3)))
    assert kept != fresh
    assert digest_of({KEY: kept}, answers_since_ms=None) != digest_of({KEY: fresh}, answers_since_ms=None)


def test_to_a_reader_of_before_a_new_public_kind_is_nothing() -> None:
    newer = descriptor_pb2.FileDescriptorProto()
    payments.DESCRIPTOR.CopyToProto(newer)
    newer.name, newer.package = "chapar/testing/newer.proto", "chapar.testing.newer"
    event = next(message for message in newer.message_type if message.name == "Event")
    number = max(field.number for field in event.field) + 1
    event.field.add(
        name="newcomer", number=number, type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING, label=1, oneof_index=0
    )
    del event.field[: len(event.field) - 1]
    del newer.message_type[:]
    newer.message_type.append(event)
    del newer.dependency[:]
    described = descriptor_pool.DescriptorPool().AddSerializedFile(newer.SerializeToString())
    written = message_factory.GetMessageClass(described.message_types_by_name["Event"])(newcomer="a kind of tomorrow")
    read = payments.Event.FromString(written.SerializeToString())
    assert read.WhichOneof("kind") is None
