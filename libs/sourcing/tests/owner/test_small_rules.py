"""Small rules that mutants showed nobody looked at: repeated answers, creations, the form of request ids."""

from __future__ import annotations

import hmac
import uuid

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.creations import CreationMark, Judgement, judge
from chapar_sourcing.owner import Command
from chapar_sourcing.owner.blocks import Answer
from chapar_sourcing.positions import Position
from chapar_sourcing.requests import (
    answers_since_ms,
    content_hash,
    make_request_id,
    parse_request_id,
    request_time_ms,
    scope_of,
)
from chapar_sourcing.timers import Timer

CONTENT, OTHER = b"1" * 32, b"2" * 32


def asked(content: bytes, key: str) -> Command:
    body = StringValue(value="a")
    return Command(1, journal.Actor(user="alice"), b"i" * 16, content, key, body, 1 << 50)


@pytest.mark.parametrize(
    ("content", "key", "repeated", "reason", "unchecked"),
    [
        (CONTENT, "k", True, "", False),
        (OTHER, "k", True, "REASON_REQUEST_ID_REUSED", False),
        (OTHER, "k", False, "", False),
        (OTHER, "another", True, "", True),
        (OTHER, "another", False, "", False),
    ],
)
def test_what_a_repetition_is_told(content: bytes, key: str, repeated: bool, reason: str, unchecked: bool) -> None:
    entry = journal.Entry(content_hash=CONTENT, content_key_id="k")
    answer = Answer(entry, 7, Position(3, 0))
    outcome = answer.reply(asked(content, key), repeated=repeated, needs_confirmation=False).outcome
    assert (outcome.reason, outcome.unchecked) == (reason, unchecked)


def test_the_last_creation_once_more_is_a_repetition() -> None:
    at = journal.SourcePosition(offset=5, index=2)
    before = journal.SourcePosition(offset=4, index=0)
    creation = journal.Creation(source="s", source_partition=0, position=at, previous=before)
    assert judge(CreationMark(5, 2), creation) is Judgement.REPEATED
    assert judge(CreationMark(4, 0), creation) is Judgement.NEXT


def test_a_made_id_is_a_uuid_of_version_7_with_its_time_and_chance() -> None:
    made = make_request_id(1_700_000_000_123, bytes(range(0xF3, 0xFD)) + b"more")
    parsed = uuid.UUID(bytes=made)
    assert (parsed.version, parsed.variant, len(made)) == (7, uuid.RFC_4122, 16)
    assert request_time_ms(made) == 1_700_000_000_123
    assert (made[6] & 0x0F, made[7], made[8] & 0x3F) == (0xF3 & 0x0F, 0xF4, 0xF5 & 0x3F)
    assert made[9:] == bytes(range(0xF6, 0xFD))


def test_an_id_of_another_variant_is_refused() -> None:
    good = uuid.UUID(bytes=make_request_id(1_700_000_000_000, bytes(10)))
    text = list(str(good))
    assert parse_request_id("".join(text)) == good.bytes
    text[19] = "c"
    assert parse_request_id("".join(text)) is None


def test_answers_are_kept_for_31_days_of_the_logs_clock_or_for_ever() -> None:
    assert answers_since_ms(1_700_000_000_000, keeps_answers=False) == 1_700_000_000_000 - 2_678_400_000
    assert answers_since_ms(1_700_000_000_000, keeps_answers=True) is None


def test_nobody_has_no_scope() -> None:
    with pytest.raises(ValueError, match="must say who it is"):
        scope_of(journal.Actor())


def test_what_was_asked_is_told_apart_by_key_method_and_content() -> None:
    asked_for = [(b"k", "Send", b"x"), (b"l", "Send", b"x"), (b"k", "Sendx", b""), (b"k", "Send", b"y")]
    assert len({content_hash(*one) for one in asked_for}) == len(asked_for)
    assert content_hash(*asked_for[0]) == hmac.digest(b"k", b"Send\0x", "sha256")


def test_a_timers_payload_has_at_most_a_kibibyte() -> None:
    assert len(Timer(b"x" * 1_024).payload) == 1_024
    with pytest.raises(ValueError, match="more than 1024"):
        Timer(b"x" * 1_025)
