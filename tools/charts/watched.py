"""Rules and dashboards as files of the chart that installs them: a chart reads nothing outside of its own folder."""

from __future__ import annotations

from collections.abc import Mapping

from tools.charts.helm import CHARTS, WATCH
from tools.watch.__main__ import DASHBOARDS, RULES

WATCHED = CHARTS / WATCH
SOURCES = {"dashboards": DASHBOARDS, "rules": RULES}
"""Folder of the chart -> where its files are made."""


def copies() -> Mapping[str, str]:
    """Path below the chart -> text."""
    return {
        f"{folder}/{path.name}": path.read_text(encoding="utf-8")
        for folder, source in SOURCES.items()
        for path in sorted(source.iterdir())
    }
