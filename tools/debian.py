"""Programs of Debian packages without root: downloaded and unpacked into the user's cache, once.

A program that the machine has installed is taken as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.server_process import ServerFailed, locked

PACKAGES: Mapping[str, str] = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "etcd": "etcd-server",
}
"""The package that each program comes with. All are linked to the C library alone."""


def program(name: str) -> Path:
    """Where a program of `PACKAGES` is; gets its package through apt the first time. Raises `ServerFailed`."""
    installed = shutil.which(name)
    if installed:
        return Path(installed)
    package = PACKAGES[name]
    folder = Path.home() / ".cache" / f"debian-{package}"
    if not folder.is_dir():
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _download(package, folder)
    return folder / "usr" / "bin" / name


def _download(package: str, folder: Path) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    try:
        with TemporaryDirectory() as here:
            _run("apt-get", "download", "--quiet", package, cwd=here)
            (archive,) = Path(here).glob(f"{package}_*.deb")
            _run("dpkg-deb", "--extract", str(archive), str(partial), cwd=here)
        partial.rename(folder)
    except (OSError, ValueError) as error:
        raise ServerFailed(f"{package} cannot be had through apt: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(*command: str, cwd: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(f"'{' '.join(command[:3])}' failed; has `apt-get update` been run? {done.stderr[-1000:]}")
