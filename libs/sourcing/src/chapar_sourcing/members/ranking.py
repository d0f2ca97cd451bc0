"""Who should own what: rendezvous hashing with bounded load.

Each pair of a partition and a member has a weight. The heaviest pair is joined first, then the next whose partition is
free and whose member has room, and so on: a member that comes or goes moves little beside what it takes or leaves.
Partitions that an operator has placed are joined before all others, and count. Everybody who knows of the same members
and placements comes to the same result.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType


def load_max(partitions: int, members: int) -> int:
    """How many partitions one of `members` may get: a tenth more than its share, rounded up."""
    return -(-11 * partitions // (10 * members))


def weight(partition: int, member: bytes) -> int:
    """How much a partition is drawn to a member: the first 8 bytes of a BLAKE2b digest, big-endian."""
    digest = hashlib.blake2b(member + partition.to_bytes(4, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def assigned(
    partitions: int, members: Collection[bytes], placed: Mapping[int, bytes] = MappingProxyType({})
) -> Mapping[int, bytes]:
    """The member that should own each partition; empty without members. `placed` at one of them it is that one."""
    if not members:
        return {}
    room = load_max(partitions, len(members))
    pairs = ((weight(partition, member), partition, member) for partition in range(partitions) for member in members)
    result = dict(placed)
    loads = Counter(result.values())
    for _, partition, member in sorted(pairs, reverse=True):
        if partition not in result and loads[member] < room:
            result[partition] = member
            loads[member] += 1
    return result
