"""Helm, built from its Go module into the user's cache, once; and the calls of it that need no cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.server_process import locked

VERSION = "v4.3.1"
KUBERNETES = "1.35.0"
"""What charts are rendered for; what they look like does not depend on it."""
ROOT = Path(__file__).resolve().parent.parent.parent
CHARTS = ROOT / "deploy" / "helm"
SERVICES = ("gateway", "identity", "messaging", "payments", "presence")
WATCH = "watch"
"""Rules and dashboards."""
INSTALLED = (*SERVICES, WATCH)
"""Charts that have a release of their own."""
UMBRELLA = "chapar"
NAMESPACE = "chapar"


class HelmFailed(RuntimeError):
    """Helm refused, or cannot be had. The text is what it said."""


def binary() -> Path:
    """The program; builds it the first time, which takes minutes."""
    folder = Path.home() / ".cache" / f"helm-{VERSION.removeprefix('v')}"
    program = folder / "helm"
    if not program.exists():
        with locked(folder.with_suffix(".lock")):
            if not program.exists():
                _build(folder)
    return program


def _build(folder: Path) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    environment = {**os.environ, "GOBIN": str(partial), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    command = ("go", "install", "-trimpath", "-ldflags", "-s -w", f"helm.sh/helm/v4/cmd/helm@{VERSION}")
    try:
        subprocess.run(command, env=environment, check=True)
        folder.mkdir(parents=True, exist_ok=True)
        (partial / "helm").rename(folder / "helm")
    except (OSError, subprocess.CalledProcessError) as error:
        raise HelmFailed(f"helm cannot be built from its Go module: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def run(*arguments: str) -> str:
    """What helm prints. Raises `HelmFailed` with what it complains of."""
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmFailed(f"{done.stdout}{done.stderr}".strip())
    return done.stdout


@contextmanager
def complete_charts() -> Iterator[Path]:
    """A folder with all charts, each with the charts that it depends on inside, as `helm dependency build` does it."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for chart in INSTALLED:
            _copy(CHARTS / chart, folder / chart)
            _copy(CHARTS / "library", folder / chart / "charts" / "chapar-library")
        _copy(CHARTS / UMBRELLA, folder / UMBRELLA)
        for service in SERVICES:
            _copy(folder / service, folder / UMBRELLA / "charts" / f"chapar-{service}")
        yield folder


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.tgz"))


def template(chart: Path, release: str, values: Sequence[Path] = ()) -> str:
    """The objects of a release, as YAML documents. Raises `HelmFailed` where values are refused."""
    files = [part for file in values for part in ("--values", str(file))]
    where = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    return run("template", release, str(chart), *where, *files)
