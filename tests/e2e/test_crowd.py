"""What is going to be done to a crowd is planned: the same for a seed, and each kind as often as the others."""

from __future__ import annotations

from collections import Counter

from chapar_client.up import service_of
from tests.e2e.crowd import REPLICATED, Fault, plan

AT_BROKERS = (Fault.KILL_BROKER, Fault.STOP_BROKER)
PROCESSES = ["identity", "messaging", "messaging-2", "payments", "payments-2", "presence", "gateway"]


def test_a_plan_is_that_of_its_seed() -> None:
    first, again, other = ([*plan([*Fault], 40, PROCESSES, seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_each_kind_comes_as_often_as_the_others_at_what_it_is_for() -> None:
    planned = [*plan([*Fault], 80, PROCESSES, 1)]
    assert set(Counter(one.fault for one in planned).values()) == {80 // len(Fault)}
    for one in planned:
        match one.fault:
            case Fault.FENCE:
                assert one.process in REPLICATED
            case Fault.KILL | Fault.STOP | Fault.END:
                assert service_of(one.process) in {service_of(process) for process in PROCESSES}
                assert one.process in PROCESSES
            case _:
                assert not one.process
        assert one.broker == (1 if one.fault in AT_BROKERS else 0)
        assert (0.2 <= one.stop_s <= 8.0) == (one.fault in (Fault.STOP, Fault.STOP_BROKER, Fault.STOP_DATABASE))


def test_any_of_several_brokers_is_hit_and_all_else_stays_as_with_one() -> None:
    alone, several = ([*plan([*Fault], 80, PROCESSES, 1, brokers=brokers)] for brokers in (1, 3))
    assert {one.broker for one in several if one.fault in AT_BROKERS} == {1, 2, 3}
    assert [one._replace(broker=0) for one in several] == [one._replace(broker=0) for one in alone]
