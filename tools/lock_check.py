"""The locks agree with the pins in the projects, name no address, pin every package by hash, and are what is installed:
what can be said without a registry."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
UNPINNED = {"pip"}
"""Came with the environment itself, before any lock was read."""


def locked(path: Path) -> dict[str, str]:
    """Name to version of everything a lock pins."""
    return {canonicalize_name(name): version for name, version in PINNED.findall(path.read_text())}


def entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each requirement of a lock with its marker, and the SHA-256 digests of the files that it allows."""
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *_ = line.split("--hash=")
            yield requirement.strip(), HASH.findall(line)


def pins(project: Path) -> dict[str, str]:
    """Name to version of everything a project pins exactly."""
    config = tomllib.loads(project.read_text())
    wanted = [*config["project"]["dependencies"], *config.get("dependency-groups", {}).get("dev", [])]
    return {canonicalize_name(name): version for one in wanted for name, version in PINNED.findall(one)}


def lock_problems(lock: Path, name: str) -> list[str]:
    """What one lock lacks in itself; `name` is what it is called in what is said."""
    found = []
    if "://" in lock.read_text():
        found.append(f"{name}: names an address")
    for requirement, hashes in entries(lock):
        if not PINNED.match(requirement):
            found.append(f"{name}: {requirement} is not pinned to one version")
        elif not hashes:
            found.append(f"{name}: {requirement} has no hash; run `make locks`")
    return found


def here(lock: Path) -> dict[str, str]:
    """Name to version of what a lock wants installed on this machine."""
    wanted = (Requirement(requirement) for requirement, _ in entries(lock))
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in wanted
        if one.marker is None or one.marker.evaluate()
    }


def installed_problems(lock: Path, folders: list[str] | None = None) -> list[str]:
    """Where what is installed differs from a lock; `folders` are searched, otherwise those of this interpreter."""
    found = distributions() if folders is None else distributions(path=folders)
    own: set[str] = {canonicalize_name(tomllib.loads(path.read_text())["project"]["name"]) for path in projects()}
    has: dict[str, str] = {canonicalize_name(one.metadata["Name"]): one.version for one in found}
    wants = here(lock)
    return [
        f"installed: {name} is {has.get(name)}, {lock.name} wants {wants.get(name)}; remove .venv and run `make setup`"
        for name in sorted((has.keys() | wants.keys()) - own - UNPINNED)
        if has.get(name) != wants.get(name)
    ]


def projects() -> list[Path]:
    """The files that say what each package of the workspace needs."""
    patterns = ("libs/*/pyproject.toml", "services/*/pyproject.toml", "clients/*/pyproject.toml")
    return [ROOT / "pyproject.toml", *(path for pattern in patterns for path in sorted(ROOT.glob(pattern)))]


def apart() -> list[Path]:
    """Locks of programs that run in environments of their own."""
    return sorted(ROOT.glob("tools/*/requirements.lock"))


def locks() -> list[Path]:
    """All locks; the first pins the whole workspace."""
    return [ROOT / "requirements.lock", *sorted(ROOT.glob("services/*/requirements.lock")), *apart()]


def problems() -> list[str]:
    """What is wrong with the locks; empty when nothing is."""
    found: list[str] = []
    whole = locked(ROOT / "requirements.lock")
    for project in projects():
        for name, version in pins(project).items():
            if whole.get(name) != version:
                found.append(
                    f"requirements.lock: {name} is {whole.get(name)}, {project.relative_to(ROOT)} pins {version}"
                )
    own_environment = apart()
    for lock in locks():
        found += lock_problems(lock, lock.relative_to(ROOT).as_posix())
        for name, version in locked(lock).items() if lock not in own_environment else ():
            if whole.get(name) != version:
                found.append(f"{lock.relative_to(ROOT)}: {name}=={version} differs from requirements.lock")
    return found + installed_problems(ROOT / "requirements.lock")
