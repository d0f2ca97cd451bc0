"""Makes dashboards of the few words in which `boards` describes them, through Grafana's own builders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

SOURCE = "datasource"
NOTHING_IS_WELL = "none: all is well"
"""What a panel shows that is empty when all is well; marks it as such."""
NO_EXPORTER = "no exporter of brokers"
"""What a panel shows that has data only where brokers have an exporter; marks it as such."""
_WIDTH = {"stat": 6, "lines": 12}
_HEIGHT = {"stat": 5, "lines": 8}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: queries with the legend of each."""

    title: str
    description: str
    unit: str
    """Of Grafana's: "s", "bytes", "short", "percentunit", "cps" (counts a second), "reqps" (calls a second)."""
    queries: Sequence[tuple[str, str]]
    nothing_is: str = ""
    """Why it may have no data: `NOTHING_IS_WELL` or `NO_EXPORTER`; "" where it always has."""
    look: str = "lines"
    """Or "stat"."""


@dataclass(frozen=True, slots=True)
class Section:
    """A row of panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable: all values of a label of a series, one or more of which are looked at."""

    name: str
    label: str
    query: str
    """Such as `label_values(up, job)`."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    description: str
    sections: Sequence[Section]
    choices: Sequence[Choice] = field(default=())


def made(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    builder = (
        builders.Dashboard(board.title).uid(board.uid).description(board.description).tags(["chapar"])
        .time("now-1h", "now").refresh("30s").timezone("browser").readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable(SOURCE).label("Prometheus").type("prometheus"))
    )  # fmt: skip
    for choice in board.choices:
        builder.with_variable(_variable(choice))
    number = 0
    for section in board.sections:
        number += 1
        builder.with_row(builders.Row(section.title).id(number))
        for panel in section.panels:
            number += 1
            builder.with_panel(_panel(panel, number))
    made: dict[str, Any] = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    return made


def _variable(choice: Choice) -> builders.QueryVariable:
    everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        builders.QueryVariable(choice.name).label(choice.label).query(choice.query).datasource(_source())
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True).include_all(True).current(everything)
    )  # fmt: skip


def _panel(panel: Panel, number: int) -> stat.Panel | timeseries.Panel:
    made = _stat() if panel.look == "stat" else _lines()
    made.id(number).title(panel.title).description(panel.description).unit(panel.unit).datasource(_source())
    made.span(_WIDTH[panel.look]).height(_HEIGHT[panel.look])
    if panel.nothing_is:
        made.no_value(panel.nothing_is)
    for letter, (query, legend) in zip(ascii_uppercase, panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query).legend_format(legend).ref_id(letter).datasource(_source())
        made.with_target(target.instant() if panel.look == "stat" else target.range())
    return made


def _stat() -> stat.Panel:
    newest = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().graph_mode(common.BigValueGraphMode.NONE).decimals(2).reduce_options(newest)


def _lines() -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM).show_legend(True)
    )  # fmt: skip
    return timeseries.Panel().min(0).fill_opacity(8).show_points(common.VisibilityMode.NEVER).legend(legend)


def _source() -> models.DataSourceRef:
    return models.DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")
