"""Writes the hash-pinned locks: `requirements.lock` for development, one for each service, and one for each
program that tools run in an environment of its own.

`uv.lock`, which they are made from, records registry addresses and is not committed; these files name none.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APART = sorted(ROOT.glob("tools/*/requirements.in"))
"""Programs that run in environments of their own."""
HEADER = "# Made by `make locks` from pyproject.toml. Every package is pinned by version and hash.\n"
SERVICES = sorted(p.parent.name for p in ROOT.glob("services/*/pyproject.toml"))


def export(*selection: str) -> str:
    """The pinned requirements of a selection of workspace packages, without the packages of the workspace."""
    uv = [sys.executable, "-m", "uv", "export", "--quiet", "--format", "requirements-txt"]
    plain = ["--no-header", "--no-annotate", "--no-emit-workspace"]
    done = subprocess.run([*uv, *plain, *selection], cwd=ROOT, check=True, capture_output=True, text=True)
    return HEADER + done.stdout


def compiled(requirements: Path) -> str:
    """The pinned requirements of something that is no part of the workspace and runs in an environment of its own."""
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--universal"]
    plain = ["--no-header", "--no-annotate", "--python-version", "3.11"]
    done = subprocess.run([*uv, *plain, str(requirements)], cwd=ROOT, check=True, capture_output=True, text=True)
    return HEADER + done.stdout


def main() -> None:
    """Writes all locks."""
    subprocess.run([sys.executable, "-m", "uv", "lock", "--quiet"], cwd=ROOT, check=True)
    (ROOT / "requirements.lock").write_text(export("--all-packages", "--all-groups"))
    for service in SERVICES:
        lock = export("--package", f"chapar-{service}", "--no-dev")
        (ROOT / "services" / service / "requirements.lock").write_text(lock)
    for requirements in APART:
        requirements.with_suffix(".lock").write_text(compiled(requirements))
    each = ", ".join([*SERVICES, *(requirements.parent.name for requirements in APART)])
    print(f"locks: wrote requirements.lock and one for each of {each}", file=sys.stderr)


if __name__ == "__main__":
    main()
