"""Programs of other people's packages, each in an environment of its own in the user's cache: never imported, and what
they depend on meets nothing of ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tools.server_process import ServerFailed, locked


def environment(name: str, lock: Path) -> Path:
    """The folder of the environment that a lock pins; makes it the first time. Raises `ServerFailed`."""
    pinned = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path.home() / ".cache" / f"{name}-{pinned}"
    ready = folder / "ready"
    if not ready.exists():
        with locked(folder.with_suffix(".lock")):
            if not ready.exists():
                _install(name, lock, folder)
                ready.touch()
    return folder


def _install(name: str, lock: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        subprocess.run((*pip, "--require-hashes", "-r", str(lock)), check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"{name} cannot be had through pip: {error}") from error
