"""What is said of what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chapar_client.doctor import Finding, Found, Partition, Process, Sample, findings
from chapar_client.doctor._metrics import samples

GOOD = Partition(3, 2, "payments", "owning", 1, well=True)


def process(name: str = "payments", **changed: Any) -> Process:
    service = name.partition("-")[0]
    return replace(Process(name, service, "127.0.0.1:1", "ready", [name], []), **changed)


def report(**changed: Any) -> dict[str, Any]:
    return {
        "versions": {"python": "3.11.9"},
        "disk": {"free_bytes": 50 << 30, "total_bytes": 100 << 30},
        "certificates": [],
        "unread": {},
        **changed,
    }


def found(*processes: Process, **changed: Any) -> Found:
    healthy = Found(processes or [process()], {"payments": [GOOD]}, {"payments": report()}, clock_ahead_ms=3)
    return replace(healthy, **changed)


def measured(name: str, value: float, **labels: str) -> Found:
    return found(process(metrics=[Sample(name, value, labels)]))


def only(what: Found) -> Finding:
    (finding,) = findings(what)
    return finding


def test_nothing_is_said_of_what_is_well() -> None:
    assert findings(found()) == []
    assert findings(measured("chapar_projection_lag_seconds", 60, partition="3")) == []
    assert findings(measured("chapar_clock_off_ms", 0, partition="3")) == []


@pytest.mark.parametrize(
    ("what", "about", "words", "leads_to"),
    [
        (found(process(state="away", metrics=None)), "payments", "does not answer at 127.0.0.1:1",
         "ChaparServiceAbsent"),
        (found(process(state="not ready")), "payments", "is not ready", "ChaparPartitionsTroubled"),
        (found(partitions={"payments": [GOOD, replace(GOOD, number=7, well=False)]}), "payments",
         "1 of 2 partitions of payments have no owner that is well: 7.", "chapar owners show payments"),
        (found(process(), process("payments-2", members=["payments-2", "payments"])), "payments",
         "does not see payments-2", "connections"),
        (measured("chapar_alarms_total", 1), "payments", "contradiction", "ChaparLogContradicted"),
        (measured("chapar_clock_off_ms", -4_000, partition="3"), "payments", "-4000 ms off", "ChaparClockOff"),
        (measured("chapar_reactor_carried_late", 7_000, reactor="reactor/transits"), "payments", "7000 rials",
         "ChaparMoneyDoubtful"),
        (measured("chapar_projection_lag_seconds", 61, partition="3"), "payments", "61 s behind",
         "ChaparProjectionLate"),
        (found(unreported={"identity": 2}), "identity", "settings are refused", "chapar_identity doctor"),
        (found(reports={"payments": report(topics=[{"topic": "payments.journal", "problems": 1}])}), "payments",
         "payments.journal is not laid out", "chapar topics check"),
        (found(reports={"payments": report(unread={"topics": "Unavailable"})}), "payments",
         "topics of payments could not be looked at (Unavailable)", "chapar topics check"),
        (found(reports={"payments": report(certificates=[{"setting": "tls_cert", "days_left": 6.9}])}), "payments",
         "(tls_cert) ends in 7 days", "Renew"),
        (found(reports={"payments": report(certificates=[{"setting": "kafka_ca", "days_left": -1}])}), "payments",
         "(kafka_ca) has ended", "Renew"),
        (found(reports={"payments": report(disk={"free_bytes": 9 << 30, "total_bytes": 100 << 30})}), "installation",
         "9.7 GB of 107.4 GB are free", "Make room"),
        (found(clock_ahead_ms=-2_500), "installation", "-2500 ms ahead", "ChaparClockOff"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_do(what: Found, about: str, words: str, leads_to: str) -> None:
    finding = only(what)
    assert (finding.level, finding.about) == ("wrong", about)
    assert words in finding.what
    assert finding.what.endswith(".")
    assert leads_to in finding.do


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (measured("chapar_incidents_total", 2), "2 errors that nobody expected"),
        (found(process(metrics=None)), "metrics of payments could not be read"),
        (found(process(members=["payments", "?"])), "not of this folder"),
        (found(reports={"payments": report(editions={"beside": {"3": "kept"}})}), "1 partitions of payments have a"),
        (found(reports={"payments": report(certificates=[{"setting": "tls_cert", "days_left": 20}])}), "in 20 days"),
        (found(reports={"payments": report(), "identity": report(versions={"python": "3.12.1"})}),
         "versions of python"),
    ],
)  # fmt: skip
def test_what_is_worth_a_look_is_a_notice(what: Found, words: str) -> None:
    finding = only(what)
    assert finding.level == "notice"
    assert words in finding.what


def test_what_is_wrong_comes_first() -> None:
    both = found(process(metrics=[Sample("chapar_incidents_total", 1), Sample("chapar_alarms_total", 1)]))
    assert [finding.level for finding in findings(replace(both, clock_ahead_ms=9_000))] == ["wrong", "wrong", "notice"]


def test_of_metrics_only_known_labels_are_kept() -> None:
    page = (
        'chapar_alarms_total 1\nchapar_rpc_running{rpc="/a/B"} 2\nchapar_x{user="sara"} 3\npython_info{v="1"} 4\n'
        "process_open_fds 5\n"
    )
    assert [(sample.name, sample.value) for sample in samples(page)] == [
        ("chapar_alarms_total", 1.0), ("chapar_rpc_running", 2.0), ("process_open_fds", 5.0),
    ]  # fmt: skip
