"""For each alert of the engine what makes it fire, and something close to it that must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Series = Mapping[str, str]
"""Series to the values of its minutes, as promtool writes them: "0+2x10" is 0, 2, 4 ... 20, "_" is none."""

M1 = 'job="chapar-messaging",instance="m-1"'
M2 = 'job="chapar-messaging",instance="m-2"'
G1 = 'job="chapar-gateway",instance="g-1"'
P1 = 'job="chapar-payments",instance="p-1"'
P2 = 'job="chapar-payments",instance="p-2"'
C1 = 'job="chapar-canary",instance="c-1"'
OF_M1 = {"job": "chapar-messaging", "instance": "m-1"}
OF_M = {"job": "chapar-messaging"}


@dataclass(frozen=True, slots=True)
class Case:
    """One alert's two cases, both looked at after some minutes."""

    fires: Series
    silent: Series
    labels: Mapping[str, str]
    """Of the one alert that fires, without those that the rule adds."""
    minutes: int = 20


def _buckets(metric: str, within: str, bound: str, above: str) -> Series:
    """A histogram of 100 values a minute: how many were within a bound; the others were within the next one."""
    lower, upper, inf = (f'{metric}_bucket{{{M1},le="{le}"}}' for le in (bound, above, "+Inf"))
    return {lower: within, upper: "0+100x20", inf: "0+100x20"}


ALL_UP = {f'up{{job="chapar-{name}",instance="{name}-1"}}': "1x30"
          for name in ("gateway", "identity", "messaging", "payments", "presence")}  # fmt: skip

REFUSED = f'chapar_reactor_refusals_total{{{M1},reactor="reactor/payment_cards",reason="REASON_USER_UNKNOWN"}}'

CASES: Mapping[str, Case] = {
    "ChaparTargetDown": Case(
        {f"up{{{M1}}}": "1x5 0x20"}, {f"up{{{M1}}}": "1x5 0 1x20", 'up{job="other",instance="o"}': "0x20"}, OF_M1,
    ),
    "ChaparServiceAbsent": Case(
        {**ALL_UP, 'up{job="chapar-payments",instance="payments-1"}': "1x5 0x20"},
        {**ALL_UP, 'up{job="chapar-payments",instance="payments-2"}': "0x30"},
        {"job": "chapar-payments"},
    ),
    "ChaparIncident": Case(
        {f"chapar_incidents_total{{{M1}}}": "0x10 1x10"}, {f"chapar_incidents_total{{{M1}}}": "0x20"}, OF_M1,
    ),
    "ChaparEventLoopLate": Case(
        _buckets("chapar_event_loop_lag_seconds", "0+95x20", "0.25", "0.5"),
        _buckets("chapar_event_loop_lag_seconds", "0+100x20", "0.25", "0.5"),
        OF_M1,
    ),
    "ChaparLogContradicted": Case(
        {f"chapar_alarms_total{{{M1}}}": "0x10 1x10", f"chapar_alarms_total{{{M2}}}": "0x20"},
        {f"chapar_alarms_total{{{M1}}}": "0x20"},
        OF_M1,
    ),
    "ChaparClientsAheadOfLog": Case(
        {f"chapar_positions_beyond_owner_total{{{M1}}}": "0x70 2x10"},
        {f"chapar_positions_beyond_owner_total{{{M1}}}": "3x90"},
        OF_M1,
        # What was counted more than an hour ago is over.
        minutes=80,
    ),
    "ChaparAppendsSlow": Case(
        _buckets("chapar_append_seconds", "0+95x20", "1.0", "2.5"),
        _buckets("chapar_append_seconds", "0+100x20", "1.0", "2.5"),
        OF_M1,
    ),
    "ChaparAppendsUnknown": Case(
        {f"chapar_appends_unknown_total{{{M1}}}": "0+10x20"}, {f"chapar_appends_unknown_total{{{M1}}}": "0+1x20"}, OF_M,
    ),
    "ChaparPartitionsTroubled": Case(
        {f"chapar_partitions_troubled{{{M1}}}": "0x5 2x15", f"chapar_partitions_troubled{{{M2}}}": "0x20"},
        {f"chapar_partitions_troubled{{{M1}}}": "0x17 2 0x5"},
        OF_M1,
    ),
    "ChaparPartitionsWithoutOwner": Case(
        {f"chapar_partitions_owned{{{M1}}}": "128x80", f"chapar_partitions_owned{{{M2}}}": "128x60 127x20"},
        # One process hands everything to the other, and for a minute both have it.
        {f"chapar_partitions_owned{{{M1}}}": "128x60 256 256x20",
         f"chapar_partitions_owned{{{M2}}}": "128x60 128 0x20"},
        OF_M,
        minutes=75,
    ),
    "ChaparHeartbeatOld": Case(
        {f"chapar_heartbeat_age_seconds{{{M1}}}": "0.2x5 60+60x15"},
        {f"chapar_heartbeat_age_seconds{{{M1}}}": "0.2x5 3x15"},
        OF_M1,
    ),
    "ChaparClockOff": Case(
        {f'chapar_clock_off_ms{{{M1},partition="3"}}': "0x5 -4000x15",
         f'chapar_clock_off_ms{{{M1},partition="4"}}': "0x20"},
        {f'chapar_clock_off_ms{{{M1},partition="3"}}': "0x20"},
        OF_M1,
    ),
    "ChaparPartitionsMoving": Case(
        {f"chapar_partitions_lost_total{{{M1}}}": "0+1x20"},
        # One process was stopped and others took what it had.
        {f"chapar_partitions_lost_total{{{M1}}}": "0x10 4x10"},
        OF_M,
    ),
    "ChaparOverloaded": Case(
        {f"chapar_commands_overloaded_total{{{M1}}}": "0+600x20", f"chapar_commands_too_late_total{{{M1}}}": "0x20",
         f"chapar_confirmations_overloaded_total{{{M1}}}": "0x20"},
        {f"chapar_commands_overloaded_total{{{M1}}}": "0+10x20", f"chapar_commands_too_late_total{{{M1}}}": "0+10x20",
         f"chapar_confirmations_overloaded_total{{{M1}}}": "0x20"},
        OF_M,
    ),
    "ChaparProjectionLate": Case(
        {f'chapar_projection_lag_seconds{{{M1},partition="1"}}': "0x5 60+60x15"},
        {f'chapar_projection_lag_seconds{{{M1},partition="1"}}': "0x5 59x15"},
        OF_M,
    ),
    "ChaparStoreFailing": Case(
        {f"chapar_projections_failed_total{{{M1}}}": "0+1x20", f"chapar_loads_failed_total{{{M1}}}": "0x20",
         f"chapar_purges_failed_total{{{M1}}}": "0x20"},
        {f"chapar_projections_failed_total{{{M1}}}": "0x5 1x15", f"chapar_loads_failed_total{{{M1}}}": "0x20",
         f"chapar_purges_failed_total{{{M1}}}": "0x20"},
        OF_M,
    ),
    "ChaparEditionDiffers": Case(
        {f"chapar_edition_differences_total{{{M1}}}": "0x10 4x10"},
        {f"chapar_edition_differences_total{{{M1}}}": "0x20"},
        OF_M,
    ),
    "ChaparReactorLate": Case(
        {f'chapar_reactor_lag_seconds{{{M1},reactor="reactor/fan_out"}}': "0x5 60+60x15",
         f'chapar_reactor_lag_seconds{{{M1},reactor="reactor/payment_cards"}}': "0x20"},
        {f'chapar_reactor_lag_seconds{{{M1},reactor="reactor/fan_out"}}': "0x5 25x15"},
        {**OF_M, "reactor": "reactor/fan_out"},
    ),
    "ChaparRelayLate": Case(
        {f'chapar_relay_lag_offsets{{{M1},topic="messaging.events.v1"}}': "0x5 20000x15"},
        {f'chapar_relay_lag_offsets{{{M1},topic="messaging.events.v1"}}': "0x17 20000x3"},
        {**OF_M, "topic": "messaging.events.v1"},
    ),
    "ChaparReactorRefused": Case(
        # The series appears with its first count: nothing ever grows.
        {REFUSED: "_x70 1x10"},
        {REFUSED: "1x80"},
        {**OF_M, "reactor": "reactor/payment_cards", "reason": "REASON_USER_UNKNOWN"},
        minutes=75,
    ),
    "ChaparReactorFailed": Case(
        {f'chapar_reactor_failures_total{{{M1},reactor="reactor/fan_out"}}': "_x70 1x10"},
        {f'chapar_reactor_failures_total{{{M1},reactor="reactor/fan_out"}}': "1x80"},
        {**OF_M, "reactor": "reactor/fan_out"},
        minutes=75,
    ),
    "ChaparReactorHoles": Case(
        {f'chapar_reactor_holes_total{{{M1},reactor="reactor/fan_out"}}': "0+1x30"},
        {f'chapar_reactor_holes_total{{{M1},reactor="reactor/fan_out"}}': "0x5 3x25"},
        {**OF_M, "reactor": "reactor/fan_out"},
        minutes=25,
    ),
    "ChaparFollowersRestarting": Case(
        {f'chapar_followers_restarted_total{{{M1},follower="reactor/fan_out"}}': "0+1x20"},
        {f'chapar_followers_restarted_total{{{M1},follower="reactor/fan_out"}}': "0x5 2x15"},
        {**OF_M, "follower": "reactor/fan_out"},
    ),
    "ChaparTimersFailing": Case(
        {f'chapar_timers_failed_total{{{M1},reason="REASON_UNAVAILABLE"}}': "0+1x30"},
        {f'chapar_timers_failed_total{{{M1},reason="REASON_UNAVAILABLE"}}': "0x5 1x25"},
        {**OF_M, "reason": "REASON_UNAVAILABLE"},
        minutes=25,
    ),
    "ChaparLedgerBroken": Case(
        # Another process has counted one long ago.
        {f'chapar_ledger_violations_total{{{P2},rule="unbalanced"}}': "1x80",
         f'chapar_ledger_violations_total{{{P1},rule="unbalanced"}}': "_x70 1x10"},
        {f'chapar_ledger_violations_total{{{P1},rule="unbalanced"}}': "1x80"},
        {"job": "chapar-payments", "rule": "unbalanced"},
        minutes=75,
    ),
    "ChaparMoneyFromNothing": Case(
        {f'chapar_ledger_sent_rials{{{P1},partition="1"}}': "100x60",
         f'chapar_ledger_applied_rials{{{P1},partition="2"}}': "100x5 101x55"},
        # Partition 1 moves to another process, is nobody's for a while, and goes on; 60 rials are always under way.
        {f'chapar_ledger_sent_rials{{{P1},partition="1"}}': "100+20x10 _x70",
         f'chapar_ledger_sent_rials{{{P2},partition="1"}}': "_x60 300+20x20",
         f'chapar_ledger_applied_rials{{{P1},partition="2"}}': "40+20x10 240x49 260+20x20"},
        {},
        minutes=55,
    ),
    "ChaparMoneyDoubtful": Case(
        {f'chapar_reactor_carried_late{{{P1},reactor="reactor/transits"}}': "0x5 70000x15"},
        # Much is under way, none of it for long; and what another reactor carries is no money.
        {f'chapar_reactor_carried{{{P1},reactor="reactor/transits"}}': "70000x20",
         f'chapar_reactor_carried_late{{{P1},reactor="reactor/transits"}}': "0x20",
         f'chapar_reactor_carried_late{{{P1},reactor="reactor/erase-memos"}}': "3x20"},
        {"job": "chapar-payments"},
    ),
    "ChaparCanarySilent": Case(
        {f'chapar_canary_attempts_total{{{C1},stage="send"}}': "0+12x5 60x20"},
        {f'chapar_canary_attempts_total{{{C1},stage="settle"}}': "3x25",
         f'chapar_canary_attempts_total{{{C1},stage="send"}}': "0+12x25"},
        {"instance": "c-1"},
    ),
    "ChaparCanaryMoneyMissing": Case(
        {f"chapar_canary_missing_rials{{{C1}}}": "0x5 1000x15"},
        {f"chapar_canary_missing_rials{{{C1}}}": "0x5 1000x4 0 1000x9"},
        {"instance": "c-1"},
    ),
    "ChaparRevocationsOld": Case(
        {f"chapar_revocations_age_seconds{{{G1}}}": "0.3x5 60+60x15"},
        {f"chapar_revocations_age_seconds{{{G1}}}": "0.3x17 2 0.3x5"},
        {"job": "chapar-gateway", "instance": "g-1"},
    ),
}  # fmt: skip
