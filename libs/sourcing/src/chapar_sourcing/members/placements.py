"""Where operators want partitions: what they said last of each, which members that means, and what is refused.

A placement names an address, as operators do: whoever answers there later on, under another member's id, is meant as
well. Nothing is forgotten while nobody answers there; it is as if it had not been said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar_sourcing.members.peers import Seen
from chapar_sourcing.members.ranking import weight
from chapar_sourcing.ports.members import Placement

REASON_CHARACTERS_MAX = 200
OPERATOR_CHARACTERS_MAX = 64


class PlacementRefused(Exception):
    """A placement would mean nothing. The text is for the operator."""


class Placements:
    """What was said of a service's partitions, in the order of the log."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._rows: dict[int, Placement] = {}

    @property
    def rows(self) -> Mapping[int, Placement]:
        """What holds of each partition; those that may be anywhere are left out."""
        return self._rows

    def said(self, placement: Placement) -> None:
        """The next one of the log. Partitions that there are not are passed over."""
        if not 0 <= placement.partition < self._partitions:
            return
        self._rows.pop(placement.partition, None)
        if placement.address:
            self._rows[placement.partition] = placement

    def members(self, addresses: Mapping[bytes, str]) -> Mapping[int, bytes]:
        """The member that each partition is placed at, of members with their addresses.

        Two are at one address where one came after the other and that has not expired yet: the heavier pair is joined,
        as everywhere.
        """
        found: dict[int, bytes] = {}
        for partition, row in self._rows.items():
            there = [member for member, address in addresses.items() if address == row.address]
            if there:
                found[partition] = max(there, key=lambda member: weight(partition, member))
        return found


def check_placement(placement: Placement, partitions: int, seen: Sequence[Seen]) -> None:
    """Raises `PlacementRefused` where a placement cannot hold, as a member sees the others now."""
    if not 0 <= placement.partition < partitions:
        raise PlacementRefused(
            f"the service has no partition {placement.partition}: they go from 0 to {partitions - 1}"
        )
    if not placement.reason.strip():
        raise PlacementRefused("a reason is needed: it is kept for whoever wonders later on")
    _check_text("reason", placement.reason, REASON_CHARACTERS_MAX)
    _check_text("operator's name", placement.operator, OPERATOR_CHARACTERS_MAX)
    if placement.address:
        _check_address(placement.address, seen)
        _check_releases(seen)


def _check_text(what: str, text: str, characters_max: int) -> None:
    if len(text) > characters_max:
        raise PlacementRefused(f"the {what} has {len(text)} characters, and {characters_max} are allowed")
    if not text.isprintable():
        raise PlacementRefused(f"the {what} is one line without control characters")


def _check_address(address: str, seen: Sequence[Seen]) -> None:
    there = [one for one in seen if one.address == address and one.alive]
    if not there:
        known = ", ".join(sorted({one.address for one in seen if one.alive and one.address}))
        raise PlacementRefused(f"no member that is alive answers at {address}; these do: {known}")
    if all(one.draining for one in there):
        raise PlacementRefused(f"the member at {address} is about to end")
    if all(one.unfit or one.draining for one in there):
        raise PlacementRefused(f"the member at {address} says that it cannot own anything now")


def _check_releases(seen: Sequence[Seen]) -> None:
    older = [one.address for one in seen if one.alive and one.address and not one.places]
    if older:
        raise PlacementRefused(
            f"the member at {older[0]} is of an older release: nobody goes by placements until it has ended"
        )
