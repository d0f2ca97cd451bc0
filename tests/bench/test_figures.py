"""Figures follow from what was seen: gaps from acknowledgements, shares from samples, groups from processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.costs import groups
from bench.cpu import Clock, all_cpu_ms, cpu_ms, threads_cpu_ms
from bench.probes import Probe
from bench.sampled import read
from bench.telemetry import BEGIN, END, change, write_report
from bench.weight import grown


async def _nothing() -> None: ...


@pytest.mark.parametrize(
    ("acknowledged", "gap_s"),
    [
        ([], None),
        ([1.0, 9.9], None),
        ([1.0, 9.5, 10.5, 10.6], 1.0),
        ([1.0, 9.5, 10.1, 14.1], 4.0),
        ([12.0], 2.0),
    ],
)
def test_a_gap_lies_between_acknowledgements_the_later_of_which_is_after_the_moment(
    acknowledged: list[float], gap_s: float | None
) -> None:
    probe = Probe("messaging", 3, _nothing, acknowledged=acknowledged)
    assert probe.gap_s(10.0) == (None if gap_s is None else pytest.approx(gap_s))


def test_shares_of_a_profile_are_of_all_samples_and_leave_out_what_is_around_everything() -> None:
    ours = "/x/libs/sourcing/src/chapar_sourcing/shell.py:10"
    stacks = (
        f"main (/x/y.py:1);run ({ours});poll (/u/lib/python3.11/selectors.py:4) 3\nmain (/x/y.py:1);run ({ours}) 1\n"
    )
    found = read(stacks, {"python": 1.0})
    assert found.samples == 4
    assert dict(found.modules) == {"selectors": 0.75, "chapar_sourcing.shell": 0.25}
    assert found.beneath == [], "a function with all of the samples says nothing"


def test_processes_are_counted_with_their_service_and_servers_by_themselves() -> None:
    cpu = {"gateway": 1.0, "gateway-2": 2.0, "messaging-8": 4.0, "identity": 8.0, "payments": 16.0, "broker": 32.0}
    found = groups(cpu)
    assert found == {"gateway": 3.0, "messaging": 4.0, "others": 24.0, "broker": 32.0, "database": 0.0}


def test_growth_names_what_is_new_and_what_is_more() -> None:
    assert grown({"a": 1, "b": 5}, {"a": 3, "b": 5, "c": 7}) == {"a": 2, "c": 7}


def test_the_cpu_time_of_a_process_is_at_most_that_of_all() -> None:
    clock, own, everything = Clock({"own": os.getpid()}), cpu_ms(os.getpid()), all_cpu_ms()
    while cpu_ms(os.getpid()) < own + 50:
        sum(range(100_000))
    used = clock.used()
    assert 50 <= used.cpu_ms["own"] <= all_cpu_ms() - everything + 20
    assert sum(threads_cpu_ms(os.getpid()).values()) >= 50


def test_a_change_is_a_geometric_mean_with_students_interval() -> None:
    found = change([1.02, 1.04, 1.03, 1.05, 1.01])
    assert found.mean == pytest.approx(1.0299 - 1, abs=1e-4)
    assert found.low == pytest.approx(0.0102, abs=5e-4)
    assert found.high == pytest.approx(0.0501, abs=5e-4)
    assert change([2.0, 0.5]).mean == pytest.approx(0.0)
    with pytest.raises(ValueError, match="two pairs"):
        change([1.0])


def test_a_report_is_written_between_its_marks_alone(tmp_path: Path) -> None:
    one = {"messages": 10, "seconds": 1.0, "cpu_ms": 100.0, "others_cores": 0.5}
    told = {
        "conditions": {"cores": "2"}, "pairs": [{"off": one, "on": one}], "seconds": 8.0, "per_mille": 10,
        "messages": {"off": 10, "on": 10}, "spans_received": 3,
        "costs_us_a_call": {"gateway, not drawn": 0.1},
        "cpu_ms_a_message": {"off": 10.0, "on": 10.4}, "change": {"mean": 0.04, "low": 0.01, "high": 0.07},
    }  # fmt: skip
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_report(page, told)
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "| 10.00 | 10.40 | +4.0 % | +1.0 % to +7.0 % |" in page.read_text()
    assert "old" not in page.read_text()
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must have the lines"):
        write_report(page, told)
