"""How often what goes wrong on the whole path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities: of a call for calls, of a moment (50 ms) for what happens to processes and servers."""

    append_rejected: float = 0.01
    append_never_lands: float = 0.01
    append_lands_late: float = 0.015
    append_ack_lost: float = 0.015
    append_ack_slow: float = 0.04
    append_doubled: float = 0.015
    append_offset_gap: float = 0.03
    append_no_offset: float = 0.02
    journal_read_fails: float = 0.02
    journal_read_slow: float = 0.03
    journal_loses_flight: float = 0.006
    store_unavailable: float = 0.03
    store_slow: float = 0.04
    store_behind: float = 0.08
    store_write_halves: float = 0.02
    store_write_unconfirmed: float = 0.03
    store_ack_lost: float = 0.02
    store_fails_over: float = 0.01
    rows_stall: float = 0.15
    cut_off_at_stall: float = 0.8
    """Of merges that stall: the process reaches no member either."""
    publish_halves: float = 0.03
    publish_ack_lost: float = 0.03
    publish_doubled: float = 0.03
    publish_slow: float = 0.04
    stream_read_fails: float = 0.02
    stop_amid_failure: float = 0.2
    """Of reads that fail: the process has just been told to stop."""
    peer_lost: float = 0.02
    peer_reply_lost: float = 0.02
    peer_doubled: float = 0.02
    peer_late: float = 0.03
    client_lost: float = 0.02
    client_reply_lost: float = 0.03
    client_doubled: float = 0.02
    client_late: float = 0.03
    reader_slow: float = 0.1
    watcher_leaves: float = 0.1
    gateway_lost: float = 0.5
    """Of watchers that go: all others of the same key go with them."""
    watcher_stays_away: float = 0.3
    """Of those who go: for longer than others need to come and see."""
    hang_up_lost: float = 0.3
    """Of watchers that go: their stream is not ended at once."""
    beat_lost: float = 0.03
    beat_ack_lost: float = 0.02
    beat_slow: float = 0.04
    beat_ack_slow: float = 0.04
    cut_off: float = 0.006
    slow_before_cut_off: float = 0.5
    """Of links that break."""
    crash: float = 0.007
    pause: float = 0.007
    pause_at_claim: float = 0.06
    lag_at_claim: float = 0.05
    """Of claims that land: what the claimant reads then arrives late, and meanwhile it reaches no member."""
    take_over: float = 0.01
    drain: float = 0.003
    crooked_clock: float = 0.5
    drifting_clock: float = 0.5

    def by_name(self) -> Mapping[str, float]:
        """The probabilities, each from 0 to 1, by the fault's name."""
        return asdict(self)


EFFECTS = (
    "watch_resumed",
    "watch_reset",
    "watch_gap",
    "stream_beats",
    "editions_switched",
    "last_owner_sleeps",
    "taken_from_the_living",
    "rows_of_the_deposed",
    "kept_from_claiming",
)
"""Counted beside the faults: how watches began, frames that were dropped and said to be, beats that were judged, stores
that were built anew, owners that slept with nobody who asked them, claims over an owner that lived on, rows that landed
after their owner was succeeded, and claimants who were told to let be."""

CALM = Rates(**{rate.name: 0.0 for rate in fields(Rates)})
