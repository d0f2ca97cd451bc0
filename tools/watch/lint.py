"""What is wrong with dashboards and rules: read as Grafana and Prometheus read them, not as we wrote them down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chapar_sourcing.measures import Kind
from tools.watch.known import BROKERS, REACTORS, VALUES, Series, known
from tools.watch.levels import RECORDED
from tools.watch.panels import NO_EXPORTER, NOTHING_IS_WELL, SOURCE
from tools.watch.promql import NotRead, Reading, Selector, read

UNITS = {"s", "ms", "bytes", "Bps", "short", "percentunit", "cps", "reqps"}
GROWING = {"rate", "increase"}
WINDOW = "$__rate_interval"
SERIES: Mapping[str, Series] = known(
    {**RECORDED, "ALERTS": ("alertname", "alertstate", "severity", "slo", "job", "instance")}
)
_VARIABLE = re.compile(r"\$\{?(\w+)")
_LEGEND = re.compile(r"{{(\w+)}}")
_BUILT_IN = {"__rate_interval", "__all"}


def dashboards(boards: Iterable[Mapping[str, Any]]) -> list[str]:
    """All problems of a set of dashboards."""
    seen: dict[str, str] = {}
    problems = []
    for board in boards:
        for key in ("uid", "title"):
            name = board.get(key) or ""
            if not name or seen.setdefault(f"{key} {name}", board["title"]) != board["title"]:
                problems.append(f"{board['title']}: its {key} is missing or another's")
        problems += dashboard(board)
    return problems


def dashboard(board: Mapping[str, Any]) -> list[str]:
    """All problems of one dashboard."""
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    problems = [*_frame(board, panels), *_variables(board), *_layout(board["panels"])]
    for panel in panels:
        problems += [f"panel '{panel['title']}': {problem}" for problem in _panel(panel)]
    return [f"{board['title']}: {problem}" for problem in problems]


def rule(one: Mapping[str, Any]) -> list[str]:
    """All problems of one rule, recording or alerting."""
    name = one.get("record") or one["alert"]
    problems = [*query_problems(one["expr"], in_panel=False)]
    if "alert" in one:
        if one["labels"].get("severity") not in ("page", "ticket"):
            problems.append("its severity is neither page nor ticket")
        annotations = one["annotations"]
        if annotations["runbook"] != f"docs/runbooks/{name}.md":
            problems.append("its runbook is not called after it")
        if not _is_sentence(annotations["summary"]):
            problems.append("its summary is no sentence")
    elif name not in RECORDED or {*one.get("labels", {})} != {*RECORDED[name]}:
        problems.append("it records what is not known, or with other labels")
    return [f"{name}: {problem}" for problem in problems]


# ---- dashboards


def _frame(board: Mapping[str, Any], panels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not _is_sentence(board.get("description", "")):
        yield "its description is no sentence"
    if "chapar" not in board.get("tags", ()):
        yield "it has not the tag of all"
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len({*ids}):
        yield "two panels have one id"
    if board["panels"] and board["panels"][0]["type"] != "row":
        yield "it does not begin with a row"
    if not panels:
        yield "it has no panels"


def _variables(board: Mapping[str, Any]) -> Iterator[str]:
    defined = {variable["name"]: variable for variable in board["templating"]["list"]}
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    chosen = [str(variable.get("query", "")) for variable in defined.values() if variable["type"] == "query"]
    used = {name for text in [*queries, *chosen] for name in _VARIABLE.findall(text)} - _BUILT_IN
    yield from (f"${name} is used and not defined" for name in sorted(used - {*defined}))
    yield from (f"${name} is defined and not used" for name in sorted({*defined} - used - {SOURCE}))
    if defined.get(SOURCE, {}).get("type") != "datasource":
        yield "one cannot choose the Prometheus it looks at"
    for name, variable in defined.items():
        if not variable.get("label"):
            yield f"${name} has no label"
        for metric in re.findall(r"label_values\((\w+)", str(variable.get("query", ""))):
            if metric not in SERIES:
                yield f"${name} lists values of {metric}, which does not exist"


def _layout(panels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        at = panel["gridPos"]
        x, y = at.get("x", 0), at.get("y", 0)
        if x + at["w"] > 24:
            yield f"panel '{panel['title']}' is wider than the page"
        for cell in ((column, line) for column in range(x, x + at["w"]) for line in range(y, y + at["h"])):
            if taken.setdefault(cell, panel["title"]) != panel["title"]:
                yield f"panels '{panel['title']}' and '{taken[cell]}' overlap"
                break


def _panel(panel: Mapping[str, Any]) -> Iterator[str]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    targets = panel.get("targets", ())
    if not panel["title"] or panel["title"].endswith("."):
        yield "its title is missing or a sentence"
    if not _is_sentence(panel.get("description", "")):
        yield "its description is no sentence"
    if defaults.get("unit") not in UNITS:
        yield f"its unit {defaults.get('unit')!r} is none of ours"
    if defaults.get("noValue") not in (None, NOTHING_IS_WELL, NO_EXPORTER):
        yield "it says something of its own where it has no data"
    if not targets:
        yield "it has no query"
    if len({target["refId"] for target in targets}) != len(targets):
        yield "two of its queries have one name"
    sources = [one.get("datasource", {}).get("uid") for one in (panel, *targets)]
    if {*sources} != {f"${{{SOURCE}}}"}:
        yield "it does not look at the chosen Prometheus"
    for target in targets:
        yield from query_problems(target["expr"], in_panel=True)
        yield from _legend_problems(target)
        yield from _unit_problems(target["expr"], str(defaults.get("unit")))
        yield from _marks(target["expr"], defaults.get("noValue"))


def _legend_problems(target: Mapping[str, Any]) -> Iterator[str]:
    legend = target.get("legendFormat", "")
    if not legend:
        yield "a query has no legend"
    reading = _read(target["expr"])
    if reading is None:
        return
    bare = {label for one in reading.selectors for label in _labels(one)} if not reading.grouped else set[str]()
    for label in _LEGEND.findall(legend):
        if label not in reading.grouped | bare:
            yield f"its legend names {label}, by which nothing is grouped"


def _unit_problems(query: str, unit: str) -> Iterator[str]:
    """Whether seconds are shown as seconds and bytes as bytes, where a query says what it gives."""
    reading = _read(query)
    if reading is None or " / " in query or "bool" in query:
        return
    for one in reading.selectors:
        base = one.metric.removesuffix("_bucket").removesuffix("_total")
        for suffix, right in (("_seconds", "s"), ("_ms", "ms"), ("_bytes", "bytes")):
            kept = one.function not in GROWING or "histogram_quantile" in reading.functions
            if base.endswith(suffix) and kept and unit != right:
                yield f"{one.metric} is in {right}, and its unit is {unit}"
        if one.function == "rate" and "histogram_quantile" not in reading.functions and unit in ("s", "ms", "bytes"):
            yield f"the rate of {one.metric} is no {unit}"


def _marks(query: str, no_value: str | None) -> Iterator[str]:
    reading = _read(query)
    foreign = reading is not None and any(one.metric.startswith("kafka_") for one in reading.selectors)
    if foreign is not (no_value == NO_EXPORTER):
        yield "what brokers tell of themselves, and nothing else, is marked as such"


# ---- queries


def query_problems(query: str, *, in_panel: bool) -> Iterator[str]:
    """All problems of one query."""
    try:
        reading = read(query)
    except NotRead as error:
        yield f"a query cannot be read: {error}"
        return
    if not reading.selectors and not query.startswith("vector("):
        yield "a query selects nothing"
    for one in reading.selectors:
        series = SERIES.get(one.metric)
        if series is None:
            yield f"{one.metric} does not exist"
            continue
        yield from _selector_problems(one, series)
        yield from _growth_problems(one, series, query, in_panel)
    yield from _grouping_problems(reading)


def _selector_problems(one: Selector, series: Series) -> Iterator[str]:
    for label in one.matchers:
        if label not in series.labels:
            yield f"{one.metric} has no label {label}"
    yield from _value_problems(one)
    wanted = one.matchers.get("job", "")
    if wanted and not wanted.startswith("$") and not any(re.fullmatch(wanted, job) for job in series.jobs):
        yield f"no process of {wanted} has {one.metric}"
    if series.jobs == {BROKERS} and wanted != BROKERS:
        yield f"{one.metric} is not said to be of brokers"


def _value_problems(one: Selector) -> Iterator[str]:
    """Whether the values of labels that a query names can be there at all."""
    for label, pattern in one.matchers.items():
        if label in VALUES and not all(_matches(part, VALUES[label]) for part in _alternatives(pattern)):
            yield f"no {label} is ever {pattern}"
    job, reactor = one.matchers.get("job", ""), one.matchers.get("reactor", "")
    if job in REACTORS and reactor and reactor.removeprefix("reactor/") not in REACTORS[job]:
        yield f"{job} has no {reactor}"


def _alternatives(pattern: str) -> Sequence[str]:
    return [pattern] if "(" in pattern else pattern.split("|")


def _matches(pattern: str, values: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, value) for value in values)


def _growth_problems(one: Selector, series: Series, query: str, in_panel: bool) -> Iterator[str]:
    if series.kind is not Kind.COUNTER:
        if one.function in GROWING:
            yield f"{one.metric} does not add up, and its rate is taken"
        return
    if one.function in GROWING:
        if in_panel and one.range != WINDOW:
            yield f"the rate of {one.metric} is not taken over {WINDOW}"
    elif in_panel or not query.endswith("> 0"):
        # Rules may ask whether something was counted at all.
        yield f"{one.metric} adds up, and its rate is not taken"


def _grouping_problems(reading: Reading) -> Iterator[str]:
    there = {label for one in reading.selectors for label in _labels(one)}
    for label in sorted(reading.grouped - there):
        yield f"it is grouped by {label}, which nothing has"
    if "histogram_quantile" in reading.functions and "le" not in reading.grouped:
        yield "a quantile is taken of buckets that were added up"


def _labels(one: Selector) -> frozenset[str]:
    series = SERIES.get(one.metric)
    return series.labels if series else frozenset()


def _read(query: str) -> Reading | None:
    try:
        return read(query)
    except NotRead:
        return None


def _is_sentence(text: str) -> bool:
    return bool(re.fullmatch(r"\S.*\.", text, re.DOTALL))
