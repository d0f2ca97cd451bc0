"""How the two logs of members are written, and what older and newer readers take each record for."""

from __future__ import annotations

from chapar.sourcing.members.v1 import members_pb2 as records
from chapar_sourcing.members.records import (
    announcement_record,
    beat_of,
    beat_record,
    owners_word_of,
    placement_record,
)
from chapar_sourcing.ports.members import Announcement, Beat, Placement

ME = b"m" * 16
PLACEMENT = Placement(7, "127.0.0.1:2", "too hot", "operator", 1_700_000_000_000)


def test_each_word_of_the_log_of_owners_is_read_as_it_was_said() -> None:
    for row in (Announcement(0, 1, ME, "a:1"), Announcement(7, 4, ME, "a:1", True, "b:2")):
        assert owners_word_of(announcement_record(row)) == row
    for placement in (PLACEMENT, Placement(0, "", "anywhere again", "", 1)):
        assert owners_word_of(placement_record(placement)) == placement


def test_strangers_records_mean_nothing() -> None:
    assert owners_word_of(b"\xff\xff") is None
    assert owners_word_of(b"") is None
    assert beat_of(b"\xff\xff") is None
    assert beat_of(b"") is None


def test_who_knows_no_placements_takes_one_for_no_announcement() -> None:
    # Older readers skip what names no member.
    found = records.OwnerAnnouncement.FromString(placement_record(PLACEMENT))
    assert not found.member
    assert (found.partition, found.epoch) == (0, 0)


def test_a_beat_without_the_field_is_of_one_that_knows_no_placements() -> None:
    older = records.Beat(member=ME, service="toy", address="a:1", sequence=1).SerializeToString()
    assert beat_of(older) == Beat(ME, "a:1", 1, places=False)
    assert beat_of(beat_record("toy", Beat(ME, "a:1", 1))) == Beat(ME, "a:1", 1, places=True)
