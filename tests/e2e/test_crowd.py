"""What is going to be done to a crowd is planned: the same for a seed, and each kind as often as the others."""

from __future__ import annotations

from collections import Counter

from tests.e2e.faults import (
    AT_BROKER,
    AT_GATEWAY,
    AT_OWNER,
    AT_PROCESS,
    CALLED_OFTEN,
    CUTS,
    DELAYS,
    FENCED,
    LASTING,
    OFTEN,
    Fault,
    plan,
)  # fmt: skip

PROCESSES = ["identity", "messaging", "messaging-2", "payments", "payments-2", "presence", "gateway", "gateway-2"]
NAMES = {
    **dict.fromkeys(AT_PROCESS, PROCESSES),
    **dict.fromkeys(AT_GATEWAY, ("gateway", "gateway-2")),
    **dict.fromkeys(AT_OWNER, CALLED_OFTEN),
    Fault.FENCE: FENCED,
}
COUNT = 60 * len([*Fault, *OFTEN])


def test_a_plan_is_that_of_its_seed() -> None:
    first, again, other = ([*plan([*Fault], COUNT, PROCESSES, seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_each_turn_has_each_kind_and_some_twice_at_what_it_is_for() -> None:
    planned = [*plan([*Fault], COUNT, PROCESSES, 1)]
    turn = Counter([*Fault, *OFTEN])
    for at in range(0, COUNT, turn.total()):
        assert Counter(one.fault for one in planned[at : at + turn.total()]) == turn
    for one in planned:
        assert one.process in NAMES.get(one.fault, [""])
        assert one.broker == (1 if one.fault in AT_BROKER else 0)
        assert (0.2 <= one.lasts_s <= 8.0) == (one.fault in LASTING)
        assert (0.1 <= one.delay_s <= 1.5) == (one.fault in DELAYS)
    for fault, names in NAMES.items():
        assert {one.process for one in planned if one.fault in (AT_PROCESS if fault in AT_PROCESS else [fault])} == {
            *names
        }
    assert {one.reset for one in planned if one.fault in CUTS} == {True, False}


def test_any_of_several_brokers_is_hit_and_all_else_stays_as_with_one() -> None:
    alone, several = ([*plan([*Fault], COUNT, PROCESSES, 1, brokers=brokers)] for brokers in (1, 3))
    assert {one.broker for one in several if one.fault in AT_BROKER} == {1, 2, 3}
    assert [one._replace(broker=0) for one in several] == [one._replace(broker=0) for one in alone]
