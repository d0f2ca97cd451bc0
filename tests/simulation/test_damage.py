"""Damaged logs over many seeds, and the proof that it would be seen if an owner did not notice."""

from __future__ import annotations

from collections import Counter
from typing import Any

from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import Owner, ReadFailed
from chapar_sourcing.owner.reading import Reading
from tests.simulation.damage import DAMAGES, play

SEEDS = 60


class ProvesNothing(Owner):
    """Reads on from where it stands without looking whether that is still there."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._reading.__class__ = _ProvesNothing


class _ProvesNothing(Reading):
    def prove(self, fold: FoldState) -> None:
        """Nothing."""

    def failed(self, given: ReadFailed) -> None:
        super().failed(ReadFailed(given.read_id))


def test_a_log_that_was_cut_or_changed_is_noticed() -> None:
    fired: Counter[str] = Counter()
    for seed in range(SEEDS):
        played = play(seed)
        assert not played.violation, f"{played.violation}; replay: make sim LANE=damage SEED={seed} TRACE=1"
        fired.update(played.fired)
    assert [damage for damage in DAMAGES if not fired[damage]] == []


def test_an_owner_that_does_not_notice_is_caught() -> None:
    assert any(play(seed, owner_class=ProvesNothing).violation for seed in range(SEEDS))
