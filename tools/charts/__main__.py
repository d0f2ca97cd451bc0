"""`python -m tools.charts`: makes all that is generated below `deploy/helm` and writes what differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.charts.helm import CHARTS
from tools.charts.render import RENDERED, rendered
from tools.charts.values import made
from tools.charts.watched import SOURCES, WATCHED, copies


def main() -> None:
    """What is rendered comes last, since it follows from all else."""
    _write(CHARTS, made())
    files = copies()
    _write(WATCHED, files)
    for folder in SOURCES:
        _remove_others(WATCHED, files, f"{folder}/*")
    files = rendered()
    _write(RENDERED, files)
    _remove_others(RENDERED, files, "*/*")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _remove_others(folder: Path, files: Mapping[str, str], pattern: str) -> None:
    for path in folder.glob(pattern):
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()


if __name__ == "__main__":
    main()
