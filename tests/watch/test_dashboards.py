"""Dashboards are well made, ask for what exists, and their linter notices what is not."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.debian import program
from tools.watch import lint
from tools.watch.__main__ import DASHBOARDS, ROOT
from tools.watch.boards import boards, capacity, kafka
from tools.watch.known import REACTORS
from tools.watch.panels import made

Json = dict[str, Any]


def _committed() -> list[Json]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))]


def _panels(board: Mapping[str, Any]) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_committed_dashboards_are_what_is_made_and_have_no_problems() -> None:
    committed = _committed()
    assert lint.dashboards(committed) == []
    assert {board["uid"]: board for board in committed} == {board.uid: made(board) for board in boards()}


def test_there_is_one_for_each_service_and_subject() -> None:
    subjects = {"gateway", "identity", "messaging", "presence", "payments"}
    subjects |= {"engine", "kafka", "wallet", "levels", "capacity"}
    assert {board["uid"] for board in _committed()} == {f"chapar-{subject}" for subject in subjects}


@pytest.mark.watch
def test_all_queries_are_promql(tmp_path: Path) -> None:
    queries = [target["expr"] for board in _committed() for panel in _panels(board) for target in panel["targets"]]
    rules = [
        {"record": f"a:query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    command = (program("promtool"), "check", "rules", "--lint=none", str(file))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


def _set(key: str, value: Any) -> Callable[[Json], None]:
    def change(board: Json) -> None:
        board[key] = value

    return change


def _on_panel(change: Callable[[Json], None]) -> Callable[[Json], None]:
    return lambda board: change(_panels(board)[0])


def _asks(query: str, legend: str = "all") -> Callable[[Json], None]:
    def change(panel: Json) -> None:
        panel["targets"][0] |= {"expr": query, "legendFormat": legend}

    return _on_panel(change)


def _unit(unit: str, query: str) -> Callable[[Json], None]:
    def change(panel: Json) -> None:
        panel["fieldConfig"]["defaults"]["unit"] = unit
        panel["targets"][0]["expr"] = query
        panel["targets"][0]["legendFormat"] = "all"

    return _on_panel(change)


def _drop_variable(board: Json) -> None:
    del board["templating"]["list"][-1]


def _move(panel: Json) -> None:
    panel["gridPos"] |= {"x": 6}


PLANTED: Mapping[str, tuple[Callable[[Json], None], str]] = {
    "no description": (_set("description", ""), "description is no sentence"),
    "no tag": (_set("tags", []), "tag of all"),
    "no title of a panel": (_on_panel(lambda panel: panel.update(title="")), "title is missing"),
    "no description of a panel": (
        _on_panel(lambda panel: panel.update(description="CPU")), "description is no sentence",
    ),
    "no query": (_on_panel(lambda panel: panel.update(targets=[])), "no query"),
    "another Prometheus": (_on_panel(lambda panel: panel["datasource"].update(uid="mine")), "chosen Prometheus"),
    "overlapping": (_on_panel(_move), "overlap"),
    "too wide": (_on_panel(lambda panel: panel["gridPos"].update(w=30)), "wider than the page"),
    "a variable that is not defined": (_drop_variable, "$instance is used and not defined"),
    "a variable that is not used": (
        lambda board: board["templating"]["list"].append({"name": "zone", "type": "custom", "label": "Zone"}),
        "$zone is defined and not used",
    ),
    "no unit": (_unit("", "up"), "none of ours"),
    "seconds shown as a count": (_unit("short", "max(chapar_heartbeat_age_seconds)"), "is in s"),
    "bytes shown as a count": (_unit("short", "sum(process_resident_memory_bytes)"), "is in bytes"),
    "a rate shown as seconds": (_unit("s", "sum(rate(chapar_alarms_total[$__rate_interval]))"), "is no s"),
    "a counter as it is": (_asks("sum(chapar_alarms_total)"), "its rate is not taken"),
    "a gauge's rate": (_asks("sum(rate(chapar_watchers[$__rate_interval]))"), "does not add up"),
    "a window of its own": (_asks("sum(rate(chapar_alarms_total[5m]))"), "not taken over"),
    "a metric that does not exist": (_asks("sum(chapar_surprises)"), "chapar_surprises does not exist"),
    "a counter without its suffix": (_asks("sum(rate(chapar_alarms[$__rate_interval]))"), "does not exist"),
    "a label that does not exist": (_asks('sum(chapar_watchers{user="u1"})'), "has no label user"),
    "a metric of another service": (
        _asks('sum(chapar_watchers{job="chapar-gateway"})'), "no process of chapar-gateway",
    ),
    "a reactor that does not exist": (
        _asks('max(chapar_reactor_items{reactor="fan_out"})'), "no reactor is ever fan_out",
    ),
    "a reactor of another service": (
        _asks('max(chapar_reactor_items{job="chapar-payments",reactor="reactor/fan_out"})'), "has no reactor/fan_out",
    ),
    "a call that does not exist": (
        _asks('sum(chapar_rpc_running{rpc="/chapar.messaging.v1.MessagingService/Send"})'), "no rpc is ever",
    ),
    "a status that does not exist": (
        _asks('sum(rate(chapar_rpc_seconds_count{code=~"INTERNAL|BROKEN"}[$__rate_interval]))'), "no code is ever",
    ),
    "grouped by nothing": (_asks("sum by (topic) (chapar_watchers)"), "which nothing has"),
    "a legend of nothing": (_asks("sum by (job) (chapar_watchers)", "{{instance}}"), "names instance"),
    "no legend": (_asks("sum(chapar_watchers)", ""), "no legend"),
    "buckets added up": (
        _asks("histogram_quantile(0.9, sum by (job) (rate(chapar_append_seconds_bucket[$__rate_interval])))"),
        "buckets that were added up",
    ),
    "an open bracket": (_asks("sum(chapar_watchers"), "cannot be read"),
    "figures of brokers as ours": (
        _asks('sum(kafka_controller_kafkacontroller_activecontrollercount{job="kafka"})'), "marked as such",
    ),
    "an excuse of its own": (
        _on_panel(lambda panel: panel["fieldConfig"]["defaults"].update(noValue="later")), "something of its own",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_wrong_with_a_dashboard_is_said(planted: str) -> None:
    change, expected = PLANTED[planted]
    board = made(capacity())
    assert lint.dashboard(board) == []
    change(board)
    problems = lint.dashboard(board)
    assert any(expected in problem for problem in problems), problems


def test_reactors_are_those_of_the_services() -> None:
    for job, names in REACTORS.items():
        found = set()
        for source in ROOT.glob(f"services/{job.removeprefix('chapar-')}/src/*/reactors/*.py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                match node:
                    case (
                        ast.AnnAssign(target=ast.Name(id="name"), value=ast.Constant(value=str(name)))
                        | ast.Assign(targets=[ast.Name(id="name")], value=ast.Constant(value=str(name)))
                    ):
                        found.add(name)
        assert found == names, job


def test_two_dashboards_of_one_name_are_said() -> None:
    one = made(kafka())
    two = copy.deepcopy(one) | {"title": "another"}
    assert any("uid is missing or another's" in problem for problem in lint.dashboards([one, two]))
