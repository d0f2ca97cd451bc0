"""Kubernetes' own programs, built from its Go module into the user's cache, once.

The module is made to be built by itself: each part of it that others may use is a module of its own, which has to be
named. Sums of all are checked by Go, against those that Kubernetes was released with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tools.server_process import ServerFailed, locked

VERSION = "v1.35.4"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
MODULE = "k8s.io/kubernetes"
MINUTES = "8 to 30 minutes, once"


def program(name: str) -> Path:
    """Where a program of `PROGRAMS` is; builds all of them the first time. Raises `ServerFailed`."""
    folder = Path.home() / ".cache" / f"kubernetes-{VERSION.removeprefix('v')}"
    if not folder.is_dir():
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                print(f"building Kubernetes {VERSION} into {folder}: {MINUTES}", flush=True)
                _build(folder)
    return folder / name


def _build(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    source = partial / "source"
    source.mkdir(parents=True)
    try:
        _make_module(source)
        packages = [f"{MODULE}/cmd/{name}" for name in PROGRAMS]
        _go(source, "build", "-trimpath", "-ldflags", _flags(), "-o", f"{partial}{os.sep}", *packages)
        shutil.rmtree(source)
        partial.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"Kubernetes cannot be built from its Go module: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_module(source: Path) -> None:
    """A module that needs Kubernetes and nothing else, with the parts of it that it names by path named by version."""
    (source / "go.mod").write_text("module chapar.local/kubernetes\n")
    released = Path(_json(source, "mod", "download", "-json", f"{MODULE}@{VERSION}")["Dir"])
    theirs = (released / "go.mod").read_text()
    (language,) = re.findall(r"^go (\S+)$", theirs, re.MULTILINE)
    part = f"v0.{VERSION.removeprefix('v1.')}"
    parts = re.findall(r"^\s+(k8s\.io/\S+) => \./staging/", theirs, re.MULTILINE)
    (source / "go.mod").write_text(
        f"module chapar.local/kubernetes\n\ngo {language}\n\nrequire {MODULE} {VERSION}\n\n"
        + "tool (\n" + "".join(f"\t{MODULE}/cmd/{name}\n" for name in PROGRAMS) + ")\n\n"
        + "replace (\n" + "".join(f"\t{name} => {name} {part}\n" for name in parts) + ")\n"
    )  # fmt: skip
    (source / "go.sum").write_bytes((released / "go.sum").read_bytes())
    _go(source, "mod", "tidy", "-e")


def _flags() -> str:
    minor = VERSION.split(".")[1]
    told = {"gitVersion": VERSION, "gitMajor": "1", "gitMinor": minor}
    base = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items())
    return f"-s -w {base} -X k8s.io/client-go/pkg/version.gitVersion={VERSION}"


def _json(source: Path, *arguments: str) -> Any:
    done = subprocess.run(("go", *arguments), cwd=source, env=_environment(), check=True, capture_output=True)
    return json.loads(done.stdout)


def _go(source: Path, *arguments: str) -> None:
    subprocess.run(("go", *arguments), cwd=source, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
