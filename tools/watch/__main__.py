"""Writes `deploy/grafana` and `deploy/prometheus/rules`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tools.watch import alerts, levels
from tools.watch.boards import boards
from tools.watch.panels import made

ROOT = Path(__file__).resolve().parent.parent.parent
DASHBOARDS = ROOT / "deploy" / "grafana"
RULES = ROOT / "deploy" / "prometheus" / "rules"
HEAD = "# Made by `make verify` from {}; not edited by hand.\n"


def main() -> None:
    """Writes all of them, and removes what nothing makes any more."""
    texts: dict[Path, str] = {
        RULES / "levels.yaml": rules(levels.groups(), "tools/watch/levels.py"),
        RULES / "alerts.yaml": rules(alerts.groups(), "tools/watch/alerts.py"),
    }
    for board in boards():
        texts[DASHBOARDS / f"{board.uid}.json"] = json.dumps(made(board), indent=1, ensure_ascii=False) + "\n"
    for folder in (DASHBOARDS, RULES):
        folder.mkdir(parents=True, exist_ok=True)
        for old in {*folder.iterdir()} - {*texts}:
            old.unlink()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def rules(groups: list[dict[str, Any]], source: str) -> str:
    """A rule file of Prometheus."""
    return HEAD.format(source) + yaml.safe_dump({"groups": groups}, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    main()
