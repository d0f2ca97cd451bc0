"""Owners with bugs planted on purpose that trust a clock which is known to be off."""

from __future__ import annotations

from chapar_sourcing.owner import Owner


class DecidesByAClockThatIsOff(Owner):
    """Decides what comes while its clock is off."""

    def _decide(self) -> None:
        off, self._clock_is_off = self._clock_is_off, False
        super()._decide()
        self._clock_is_off = off


class ClaimsByAClockThatIsOff(Owner):
    """Claims as soon as everything is folded, whatever its clock is."""

    def _replay_done(self) -> None:
        off, self._clock_is_off = self._clock_is_off, False
        super()._replay_done()
        self._clock_is_off = off


BUGS: tuple[type[Owner], ...] = (DecidesByAClockThatIsOff, ClaimsByAClockThatIsOff)
