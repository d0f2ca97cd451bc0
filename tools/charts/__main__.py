"""`python -m tools.charts`: makes all that is generated below `deploy/helm` and writes what differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.charts.helm import CHARTS
from tools.charts.render import RENDERED, rendered
from tools.charts.values import made


def main() -> None:
    """Values, schemas and READMEs first, since what is rendered follows from them."""
    _write(CHARTS, made())
    files = rendered()
    _write(RENDERED, files)
    for path in RENDERED.rglob("*.yaml"):
        if path.relative_to(RENDERED).as_posix() not in files:
            path.unlink()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
