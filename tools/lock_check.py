"""The locks agree with the pins in the projects and name no address: what can be said without a registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)


def locked(path: Path) -> dict[str, str]:
    """Name to version of everything a lock pins."""
    return {name.lower().replace("_", "-"): version for name, version in PINNED.findall(path.read_text())}


def pins(project: Path) -> dict[str, str]:
    """Name to version of everything a project pins exactly."""
    config = tomllib.loads(project.read_text())
    wanted = [*config["project"]["dependencies"], *config.get("dependency-groups", {}).get("dev", [])]
    return {name.lower().replace("_", "-"): version for one in wanted for name, version in PINNED.findall(one)}


def problems() -> list[str]:
    """What is wrong with the locks; empty when nothing is."""
    found: list[str] = []
    whole = locked(ROOT / "requirements.lock")
    projects = [ROOT / "pyproject.toml"]
    for pattern in ("libs/*/pyproject.toml", "services/*/pyproject.toml", "clients/*/pyproject.toml"):
        projects += sorted(ROOT.glob(pattern))
    for project in projects:
        for name, version in pins(project).items():
            if whole.get(name) != version:
                found.append(
                    f"requirements.lock: {name} is {whole.get(name)}, {project.relative_to(ROOT)} pins {version}"
                )
    apart = sorted(ROOT.glob("tools/*/requirements.lock"))
    for lock in [ROOT / "requirements.lock", *sorted(ROOT.glob("services/*/requirements.lock")), *apart]:
        text = lock.read_text()
        if "://" in text:
            found.append(f"{lock.relative_to(ROOT)}: names an address")
        if text.count("==") and "--hash=sha256:" not in text:
            found.append(f"{lock.relative_to(ROOT)}: has no hashes")
        for name, version in locked(lock).items() if lock not in apart else ():
            if whole.get(name) != version:
                found.append(f"{lock.relative_to(ROOT)}: {name}=={version} differs from requirements.lock")
    return found
