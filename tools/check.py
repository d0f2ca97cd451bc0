"""Static checks, each with its name and time: ruff, mypy, import-linter, bandit, buf lint."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PACKAGES = ("sourcing", "chassis", "gateway", "identity", "messaging", "presence", "payments", "client")
TREES = ("tests", "tools", "bench")
SCANNED = ("libs", "services", "clients", "tools")
"""What bandit reads; tests may do what enemies do."""
CHECKS: dict[str, list[str | Path]] = {
    "ruff check": [BIN / "ruff", "check", "--quiet", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "--quiet", "."],
    "mypy": [
        sys.executable, "-m", "mypy", "--no-error-summary",
        *(part for package in PACKAGES for part in ("-p", f"chapar_{package}")),
        *(part for tree in TREES for part in ("-p", tree)),
    ],
    "import-linter": [BIN / "lint-imports", "--no-cache"],
    "bandit": [BIN / "bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", *SCANNED],
    "buf lint": [BIN / "buf", "lint", "protos"],
}  # fmt: skip


def run(name: str) -> tuple[str, float, subprocess.CompletedProcess[str]]:
    """Runs one check."""
    start = time.monotonic()
    done = subprocess.run(CHECKS[name], cwd=ROOT, capture_output=True, text=True, check=False)
    return name, time.monotonic() - start, done


def main() -> None:
    """Runs all checks, two at a time; any failure fails."""
    failed = False
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, seconds, done in pool.map(run, CHECKS):
            print(f"check: {name:14} {'good' if done.returncode == 0 else 'FAILED'} ({seconds:.1f} s)", flush=True)
            if done.returncode:
                failed = True
                print(done.stdout + done.stderr, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
