"""Who should own what, as this member sees it: ranks among those who are fit, where operators want partitions, and how
long it has ranked best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from chapar_sourcing.members.fitness import Fitness
from chapar_sourcing.members.peers import Peer, Peers
from chapar_sourcing.members.placements import Placements
from chapar_sourcing.members.ranking import assigned

BEST_BEATS = 2
"""Consecutive own beats at which a member must rank best before it takes a partition over."""


class Standing:
    """This member's rank for each partition."""

    def __init__(self, member: bytes, address: str, partitions: int, peers: Peers) -> None:
        self.fitness = Fitness()
        self.placements = Placements(partitions)
        self._member = member
        self._address = address
        self._partitions = partitions
        self._peers = peers
        self._ranked: dict[int, bytes] = {}
        self._ranked_by: tuple[frozenset[bytes], Mapping[int, bytes]] = frozenset(), {}
        """Among whom, and with which placements."""
        self._best: Counter[int] = Counter()
        """At how many own beats in a row this member ranked best for a partition."""

    @property
    def stands_back(self) -> bool:
        """Whether this member leaves its share to others, as it is unfit and somebody else is not."""
        return not self.fitness.fit and bool(self._peers.eligible)

    def best(self, partition: int) -> bytes:
        """Who should own a partition; this member as long as nothing is known."""
        return self._ranked.get(partition, self._member)

    def has_heir(self, partition: int) -> bool:
        """Whether another should own it who is fit."""
        return self._ranked.get(partition) in self._peers.eligible

    def should_have(self, partition: int) -> bool:
        """Whether this member ranked best at its last own beat."""
        return self._best[partition] > 0

    def should_take(self, partition: int) -> bool:
        """Whether it has ranked best for long enough to take over."""
        return self._best[partition] >= BEST_BEATS

    def rank(self, *, in_turn: bool, draining: bool) -> None:
        """An own beat was read.

        Where nobody is fit all rank as if they were: nothing moves, and what nobody owns waits where it should be.
        """
        nobody_is_fit = not self._peers.eligible and (draining or not self.fitness.fit)
        peers = self._peers.staying if nobody_is_fit else self._peers.eligible
        addresses = {member: peer.address for member, peer in peers.items()}
        if not draining and not self.stands_back:
            addresses[self._member] = self._address
        by = frozenset(addresses), self._placed(addresses, peers)
        if by != self._ranked_by:
            self._ranked, self._ranked_by = dict(assigned(self._partitions, *by)), by
        for partition in range(self._partitions):
            if self._ranked.get(partition) != self._member:
                del self._best[partition]
            elif in_turn:
                self._best[partition] += 1

    def _placed(self, addresses: Mapping[bytes, str], peers: Mapping[bytes, Peer]) -> Mapping[int, bytes]:
        """Nobody goes by placements beside a member that cannot: one would wait for the other."""
        return self.placements.members(addresses) if all(peer.places for peer in peers.values()) else {}
