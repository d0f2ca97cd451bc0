"""What was ever stored is still read: bytes of each stored message, as they were when it was first written."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from tools.golden import STORED, content_of, read, samples

LINES = read()
TYPES = {stored.full_name: stored for stored in STORED}


def parsed(line: dict[str, Any]) -> Message:
    """What today's code reads in a line."""
    message: Message = GetMessageClass(TYPES[line["type"]])()
    message.MergeFromString(bytes.fromhex(line["bytes"]))
    return message


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['type']}-{line['bytes'][:8]}")
def test_old_bytes_say_what_they_said(line: dict[str, Any]) -> None:
    message = parsed(line)
    assert content_of(message) == line["content"]
    assert len(UnknownFieldSet(message)) == 0
    assert message.SerializeToString(deterministic=True).hex() == line["bytes"]


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.full_name)
def test_each_stored_message_is_there_with_all_that_it_has_today(stored: Descriptor) -> None:
    kept = {line["bytes"] for line in LINES if line["type"] == stored.full_name}
    wanted = {sample.SerializeToString(deterministic=True).hex() for sample in samples(stored)}
    assert wanted <= kept, "make verify adds what is missing"
    alternatives = {field.name for oneof in stored.oneofs for field in oneof.fields}
    told = {name for line in LINES if line["type"] == stored.full_name for name in line["content"]}
    assert alternatives <= told


def test_bytes_of_another_shape_are_noticed() -> None:
    line = next(line for line in LINES if "message_sent" in line["content"])
    other = line | {"content": {"message_sent": line["content"]["message_sent"] | {"sequence": "1"}}}
    with pytest.raises(AssertionError):
        test_old_bytes_say_what_they_said(other)
