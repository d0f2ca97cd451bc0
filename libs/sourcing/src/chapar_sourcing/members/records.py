"""Beats, announcements and placements as records, and what counts of many announcements."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from chapar.sourcing.members.v1 import members_pb2 as records
from chapar_sourcing.ports.members import Announcement, Beat, Placement


def counting(announcements: Iterable[Announcement]) -> dict[int, Announcement]:
    """What counts of each partition, of announcements in any order."""
    owners: dict[int, Announcement] = {}
    for row in announcements:
        known = owners.get(row.partition)
        if known is None or row.rank > known.rank:
            owners[row.partition] = row
    return owners


def beat_record(service: str, beat: Beat) -> bytes:
    """A beat as it is stored."""
    return records.Beat(
        member=beat.member,
        service=service,
        address=beat.address,
        sequence=beat.sequence,
        draining=beat.draining,
        extra=beat.extra,
        unfit=beat.unfit,
        places=beat.places,
    ).SerializeToString()


def beat_of(record: bytes) -> Beat | None:
    """A beat that was stored; None for what is none: strangers' records mean nothing."""
    try:
        found = records.Beat.FromString(record)
    except DecodeError:
        return None
    if not found.member:
        return None
    return Beat(found.member, found.address, found.sequence, found.draining, found.extra, found.unfit, found.places)


def announcement_record(announcement: Announcement) -> bytes:
    """An announcement as it is stored."""
    return records.OwnerAnnouncement(
        partition=announcement.partition,
        epoch=announcement.epoch,
        member=announcement.member,
        address=announcement.address,
        released=announcement.released,
        successor_address=announcement.successor,
    ).SerializeToString()


def placement_record(placement: Placement) -> bytes:
    """A placement as it is stored."""
    return records.OwnerAnnouncement(
        placement=records.Placement(
            partition=placement.partition,
            address=placement.address,
            reason=placement.reason,
            operator=placement.operator,
            time_ms=placement.time_ms,
        )
    ).SerializeToString()


def owners_word_of(record: bytes) -> Announcement | Placement | None:
    """What was stored in the log of owners; None for what means nothing."""
    try:
        found = records.OwnerAnnouncement.FromString(record)
    except DecodeError:
        return None
    if found.HasField("placement"):
        said = found.placement
        return Placement(said.partition, said.address, said.reason, said.operator, said.time_ms)
    if not found.member:
        return None
    return Announcement(
        found.partition, found.epoch, found.member, found.address, found.released, found.successor_address
    )
