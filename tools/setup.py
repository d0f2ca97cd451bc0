"""Makes `.venv` ready for work: in goes nothing but `python3`, out comes an environment that `requirements.lock` pins.

Runs on the standard library alone, because nothing else is there yet. Does nothing when the lock and the list of
workspace packages have not changed since the last time.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "setup.stamp"
LOCK = ROOT / "requirements.lock"
PACKAGES = sorted(
    p.parent.relative_to(ROOT).as_posix()
    for pattern in ("libs/*/pyproject.toml", "services/*/pyproject.toml", "clients/python/pyproject.toml")
    for p in ROOT.glob(pattern)
)


def fingerprint() -> str:
    """Digest of everything that decides what is in the environment."""
    digest = hashlib.sha256(sys.version.encode())
    for path in [LOCK, *(ROOT / package / "pyproject.toml" for package in PACKAGES)]:
        digest.update(path.read_bytes())
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def uv_requirement() -> str:
    """The lines of the lock that pin uv itself, with their hashes."""
    lines = LOCK.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("uv=="))
    end = start
    while lines[end].endswith("\\"):
        end += 1
    return "\n".join(lines[start : end + 1]) + "\n"


def run(*command: str) -> None:
    """Runs a command of the setup; its failure ends the setup with its status."""
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"setup: '{' '.join(command[:6])} ...' failed; the lines above say why")


def main() -> None:
    """Builds or refreshes the environment."""
    if sys.version_info < (3, 11):  # noqa: UP036 - run by whatever python3 the machine has
        sys.exit(f"setup: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not PYTHON.exists():
        print("setup: making .venv", flush=True)
        venv.create(VENV, with_pip=True)
    print("setup: installing pinned packages", flush=True)
    bootstrap = VENV / "uv.lock.txt"
    bootstrap.write_text(uv_requirement())
    run(str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(bootstrap))
    uv = [str(PYTHON), "-m", "uv", "pip"]
    run(*uv, "sync", "--quiet", "--python", str(PYTHON), "--require-hashes", str(LOCK))
    editables = [part for package in PACKAGES for part in ("--editable", package)]
    run(*uv, "install", "--quiet", "--python", str(PYTHON), "--no-deps", "--no-build-isolation", *editables)
    STAMP.write_text(wanted)
    print("setup: done", flush=True)


if __name__ == "__main__":
    main()
