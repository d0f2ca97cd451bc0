"""Who is alive, judged by the log of beats alone.

A member has expired for a reader when five of the reader's own beats were appended after its last one. So a broker that
stands still expires nobody, and neither does a reader that does not get through itself. Own beats are at least an
interval apart, and those sent out of turn, given up, or sent soon after an outage do not count (`pace`): whoever was
acknowledged within the last second has expired for nobody, and whoever comes back a little later neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from chapar_sourcing.ports.members import Beat

EXPIRY_BEATS = 5
"""Own beats after a member's last one, from which on it has expired."""


@dataclass(slots=True)
class Peer:
    """Another member, as far as it was heard of."""

    address: str = ""
    silent: int = 0
    """Own beats that count since it was last heard of."""
    beaten: int = 0
    """Beats in turn that were read of it."""
    draining: bool = False
    unfit: bool = False
    places: bool = False
    """Whether it goes by placements."""

    @property
    def alive(self) -> bool:
        """Whether it has not expired."""
        return self.silent < EXPIRY_BEATS


@dataclass(frozen=True, slots=True)
class Seen:
    """A member as another sees it."""

    member: bytes
    address: str
    """Empty where it was mentioned only."""
    alive: bool
    draining: bool
    unfit: bool
    places: bool = True
    """Whether it goes by placements."""


class Peers:
    """All others."""

    def __init__(self) -> None:
        self._known: dict[bytes, Peer] = {}

    def heard(self, beat: Beat) -> None:
        """A beat of another."""
        peer = self._known.setdefault(beat.member, Peer())
        peer.address, peer.draining, peer.unfit, peer.silent = beat.address, beat.draining, beat.unfit, 0
        peer.beaten += not beat.extra
        peer.places = beat.places

    def mentioned(self, member: bytes) -> None:
        """Somebody announced something: it may have beaten just before the oldest beat that is kept."""
        self._known.setdefault(member, Peer())

    def own_beat(self, kept: Collection[bytes]) -> None:
        """An own beat that counts. Forgets who has expired, but for those who are still said to own something."""
        for peer in self._known.values():
            peer.silent += 1
        self._known = {member: peer for member, peer in self._known.items() if peer.alive or member in kept}

    def expired(self, member: bytes) -> bool:
        """Whether a member has expired."""
        peer = self._known.get(member)
        return peer is None or not peer.alive

    def heard_within(self, member: bytes, own_beats: int) -> bool:
        """Whether a member was heard of behind the first of so many last own beats."""
        peer = self._known.get(member)
        return peer is not None and peer.silent < own_beats

    @property
    def seen(self) -> Sequence[Seen]:
        """All of whom something is known."""
        return [Seen(m, p.address, p.alive, p.draining, p.unfit, p.places) for m, p in sorted(self._known.items())]

    @property
    def staying(self) -> dict[bytes, Peer]:
        """Those who are alive, heard of by their own beats, and not about to end."""
        return {m: peer for m, peer in self._known.items() if peer.alive and peer.address and not peer.draining}

    @property
    def eligible(self) -> dict[bytes, Peer]:
        """Those of them who should own something: they do not say that they cannot."""
        return {m: peer for m, peer in self.staying.items() if not peer.unfit}

    @property
    def someone_alive(self) -> bool:
        """Whether anybody else is, also if about to end."""
        return any(peer.alive for peer in self._known.values())
