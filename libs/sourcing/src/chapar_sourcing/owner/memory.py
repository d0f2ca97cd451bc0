"""The documents that an owner holds, undurable changes included.

What belongs here: values by key, the order within groups, putting things back, which were used lately. What does not:
why they change, and what may be forgotten.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from chapar_sourcing.domain import Document, Key
from chapar_sourcing.positions import NOWHERE, Position


class Slot(msgspec.Struct):
    """A document in memory. `value` None: there is none. `position`: of the last durable event in it."""

    value: Document | None
    position: Position = NOWHERE
    used: bool = True
    """Whether anybody looked at it since the last sweep came by."""


class Memory:
    """Slots by key, with the ids of each group in order."""

    def __init__(self) -> None:
        self._slots: dict[Key, Slot] = {}
        """In the order in which sweeps come by."""
        self._groups: dict[str, dict[str, list[str]]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, key: Key) -> Slot | None:
        """The slot of a key, or None when nothing is known of it."""
        slot = self._slots.get(key)
        if slot is not None:
            slot.used = True
        return slot

    def hold(self, key: Key, slot: Slot) -> None:
        """Begins to know a key."""
        assert key not in self._slots, f"{key} is known already"
        self._slots[key] = slot
        insort(self._groups.setdefault(key.kind, {}).setdefault(key.parent, []), key.id)

    def forget(self, key: Key) -> None:
        """Ceases to know a key."""
        del self._slots[key]
        parents = self._groups[key.kind]
        ids = parents[key.parent]
        del ids[bisect_left(ids, key.id)]
        if not ids:
            del parents[key.parent]

    def evict(self, surplus: int, may_go: Callable[[Key, Slot], bool], *, look_at_max: int) -> int:
        """Forgets up to `surplus` slots that may go and were not used since the last sweep came by (second chance);
        looks at `look_at_max` at most. Says how many went."""
        evicted = 0
        for key in list(islice(self._slots, look_at_max)):
            if evicted == surplus:
                break
            slot = self._slots[key]
            if not slot.used and may_go(key, slot):
                self.forget(key)
                evicted += 1
            else:
                slot.used = False
                del self._slots[key]
                self._slots[key] = slot
        return evicted

    def group(self, kind: str, parent: str) -> Iterator[tuple[str, Document | None]]:
        """(id, value) of everything known of a group, in order of ids."""
        for identity in self._groups.get(kind, {}).get(parent, ()):
            yield identity, self._slots[Key(kind, parent, identity)].value

    def ids_within(self, kind: str, parent: str, after: str, up_to: str | None) -> Iterator[str]:
        """Ids of live documents of a group with `after` < id <= `up_to`, in order; None: no upper bound."""
        ids = self._groups.get(kind, {}).get(parent, [])
        end = len(ids) if up_to is None else bisect_right(ids, up_to)
        for identity in ids[bisect_right(ids, after) : end]:
            if self._slots[Key(kind, parent, identity)].value is not None:
                yield identity

    def parents(self, kind: str) -> Iterator[str]:
        """Parents of a kind of which anything is known, in no order."""
        return iter(tuple(self._groups.get(kind, ())))
