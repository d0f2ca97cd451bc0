"""Bugs planted on purpose among members: in who confirms reads, and who looks into its log."""

from __future__ import annotations

from typing import Any

from chapar_sourcing.members.messages import Doubt
from tests.simulation.mutants import Bug, Patch


class _AmongMembers(Patch):
    lane = "members"


class ConfirmsBeforeItIsKnown(_AmongMembers):
    """A heartbeat confirms reads of an owner whose claim nobody has heard of: others take it for a dead one's."""

    target = "chapar_sourcing.shell:OwnerShell._is_known"

    @staticmethod
    def planted(sound: Any) -> Any:
        return property(lambda self: self.owning and self._heartbeat.lapses == self._claimed_lapses)


class OwnsWithoutALook(_AmongMembers):
    """Whoever reads of a higher epoch while it claims owns by its own claim, and never looks into its log."""

    target = "chapar_sourcing.members.machine:MembersMachine._owning"

    @staticmethod
    def planted(sound: Any) -> Any:
        def owning(self: Any, given: Any) -> None:
            before = len(self._effects)
            sound(self, given)
            self._effects[before:] = [e for e in self._effects[before:] if not isinstance(e, Doubt)]

        return owning


class TakesOverTheLiving(_AmongMembers):
    """Takes what it ranks best for, whoever owns it."""

    target = "chapar_sourcing.members.machine:MembersMachine._gone"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, partition: True


BUGS: tuple[Bug, ...] = (TakesOverTheLiving,)

UNNOTICED: tuple[Bug, ...] = (
    ConfirmsBeforeItIsKnown,
    OwnsWithoutALook,
)
"""Both were faults of the engine that this lane found, in one seed of a hundred; no seed is known for them since. Tests
hold them: `test_known`, `test_machine`."""
