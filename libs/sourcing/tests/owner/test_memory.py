"""Documents in memory: sweeps come by everybody."""

from __future__ import annotations

from chapar_sourcing.domain import Key
from chapar_sourcing.owner.memory import Memory, Slot


def test_sweeps_that_look_at_a_few_come_by_all_in_turn() -> None:
    memory, asked = Memory(), []
    for name in "abcd":
        memory.hold(Key("account", name), Slot(None, used=False))

    def stays(key: Key, slot: Slot) -> bool:
        asked.append(key.parent)
        return False

    for _ in range(3):
        assert memory.evict(1, stays, look_at_max=2) == 0
    assert asked == [*"abcdab"]


def test_a_document_that_was_looked_at_since_the_last_sweep_gets_another_chance() -> None:
    memory = Memory()
    for name in "ab":
        memory.hold(Key("account", name), Slot(None))
    assert memory.evict(2, lambda key, slot: True, look_at_max=2) == 0
    assert memory.slot(Key("account", "a")) is not None
    assert memory.evict(2, lambda key, slot: True, look_at_max=2) == 1
    assert Key("account", "a") in memory
