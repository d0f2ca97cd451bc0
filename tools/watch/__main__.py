"""Writes `deploy/grafana`, `deploy/prometheus/rules` and `docs/reference/alerts.md`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.watch import alerts, levels
from tools.watch.boards import boards
from tools.watch.panels import made

ROOT = Path(__file__).resolve().parent.parent.parent
DASHBOARDS = ROOT / "deploy" / "grafana"
RULES = ROOT / "deploy" / "prometheus" / "rules"
HEAD = "# Made by `make verify` from the tables in tools/watch; not edited by hand.\n"


EVERY = "15s"
"""How often alerts are looked at: Prometheus' own minute would be longer than some wait."""
PAGE = ROOT / "docs" / "reference" / "alerts.md"
PAGE_HEAD = """# Service levels and alerts

Made from the tables in `tools/watch` by `make verify`; not edited by hand. A page wakes somebody, a ticket waits for a
working day; each name leads to its runbook.

## Service levels

Over 30 days. An alert comes when the budget burns 14.4 times as fast as it lasts (over 1 h, and still over 5 min), 6
times (6 h, 30 min), or as fast (3 days, 6 h; a ticket).

| level | promise | share |
|---|---|---|
"""


def main() -> None:
    """Writes all of them, and removes what nothing makes any more."""
    texts = {RULES / name: rules(groups) for name, groups in rule_files().items()}
    for board in boards():
        texts[DASHBOARDS / f"{board.uid}.json"] = json.dumps(made(board), indent=1, ensure_ascii=False) + "\n"
    for folder in (DASHBOARDS, RULES):
        folder.mkdir(parents=True, exist_ok=True)
        for old in {*folder.iterdir()} - {*texts}:
            old.unlink()
    texts[PAGE] = page()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def rule_files() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Groups of rules by the name of their file."""
    return {
        "levels.yaml": [*levels.groups(), {"name": "chapar-budgets", "interval": EVERY, "rules": alerts.of_levels()}],
        "engine.yaml": [{"name": "chapar-engine", "interval": EVERY, "rules": alerts.of_engine()}],
    }


def rules(groups: Sequence[Mapping[str, Any]]) -> str:
    """A rule file of Prometheus."""
    return HEAD + yaml.safe_dump({"groups": [*groups]}, sort_keys=False, width=120, allow_unicode=True)


def page() -> str:
    """The table of levels and alerts."""
    lines = [
        f"| {_book(level.alert, level.name)} | {level.promise} | {level.objective:.2%} |" for level in levels.LEVELS
    ]
    lines += ["", "## Alerts of the engine", "", "| alert | how | since | meaning |", "|---|---|---|---|"]
    for alert in alerts.ENGINE_ALERTS:
        summary = re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", alert.summary)
        lines.append(f"| {_book(alert.name, alert.name)} | {alert.severity} | {alert.wait} | {summary} |")
    return PAGE_HEAD + "\n".join(lines) + "\n"


def _book(alert: str, shown: str) -> str:
    return f"[{shown}](../runbooks/{alert}.md)"


if __name__ == "__main__":
    main()
