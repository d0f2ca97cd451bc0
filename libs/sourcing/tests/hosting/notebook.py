"""The domain of these tests: books of notes, written, erased and forwarded; and keys of books that end.

Its messages are described here, not in `protos`: they exist for these tests alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from chapar.sourcing.journal.v1 import journal_pb2
from chapar_sourcing.creations import (
    CREATION_KIND,
    HOLE_REASON,
    CreationMark,
    Judgement,
    creation_key,
    judge,
    moved,
)
from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered
from chapar_sourcing.erasures import ERASURE_KIND, ErasureMark, erasure_key, erasure_of, last_erasure_of, marked

_PACKAGE = "chapar.testing.notebook"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="chapar/testing/notebook.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[journal_pb2.DESCRIPTOR.name],
    )
    for name in ("Command", "Event"):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(
            [
                ("book", _STRING), ("text", _STRING), ("number", _INT64), ("erases", _INT64), ("forward", _STRING),
                ("keys_end", _STRING),
            ],
            1,
        ):  # fmt: skip
            message.field.add(name=field, number=number, type=kind, label=1)
        message.field.add(
            name="creation", number=9, type=_MESSAGE, label=1, type_name=".chapar.sourcing.journal.v1.Creation"
        )
    event = file.message_type[-1]
    event.field.add(name="erasure", number=10, type=_MESSAGE, label=1, type_name=".chapar.sourcing.journal.v1.Erasure")
    return file


_FILE = descriptor_pool.Default().AddSerializedFile(_described().SerializeToString())
Command: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["Command"])
Event: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["Event"])


class Book(Document, frozen=True, array_like=True):
    """How many notes a book ever had."""

    notes: int


class Note(Document, frozen=True, array_like=True):
    """One note, and the clock of its writing."""

    text: str
    time_ms: int


class Notebook:
    """Writes notes with dense numbers. A note of a creation is written once, however often it comes."""

    service = "notebook"
    command_type = Command
    event_type = Event
    documents: Mapping[str, type[Document]] = {
        "book": Book, "note": Note, CREATION_KIND: CreationMark, ERASURE_KIND: ErasureMark,
    }  # fmt: skip
    journals_refusals = False
    keeps_answers = False

    def needs(self, command: Any) -> Sequence[Key]:
        keys = [Key("book", command.book)]
        if command.erases:
            keys.append(Key("note", command.book, ordered(command.erases)))
        if command.HasField("creation"):
            keys.append(creation_key(command.creation))
        if command.keys_end:
            keys.append(erasure_key(command.book))
        return keys

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        if command.HasField("creation"):
            match judge(documents.get(creation_key(command.creation)), command.creation):
                case Judgement.HOLE:
                    return Refused(HOLE_REASON)
                case Judgement.REPEATED:
                    return []
                case Judgement.NEXT:
                    pass
        if command.keys_end:
            for_good = command.keys_end == "for good"
            again = erasure_of(documents, command.book, now_ms)
            erasure = last_erasure_of(documents, command.book) if for_good else again
            return [] if erasure is None else [Event(book=command.book, erasure=erasure)]
        if command.erases and Key("note", command.book, ordered(command.erases)) not in documents:
            return Refused("REASON_NOTE_UNKNOWN")
        book = documents.get(Key("book", command.book))
        count = book.notes if isinstance(book, Book) else 0
        event = Event(
            book=command.book,
            text=command.text,
            number=count + (0 if command.erases else 1),
            erases=command.erases,
            forward=command.forward,
        )
        if command.HasField("creation"):
            event.creation.CopyFrom(command.creation)
        return [event]

    def touches(self, event: Any) -> Sequence[Key]:
        if event.HasField("erasure"):
            return [erasure_key(event.erasure.subject)]
        keys = [Key("book", event.book), Key("note", event.book, ordered(event.erases or event.number))]
        if event.HasField("creation"):
            keys.append(creation_key(event.creation))
        return keys

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        match key.kind:
            case "book":
                return Book(event.number)
            case "note":
                return None if event.erases else Note(event.text, when.time_ms)
            case "erasure":
                return marked(event.erasure)
            case _:
                return moved(event.creation)
