"""What each program consists of, as CycloneDX: every package with its version, its licence, what it needs in turn, and
the digests of the files that its lock allows.

`cyclonedx-py` looks at the installed environment, which is what `requirements.lock` pins (`lock_check`); from that each
program gets what it needs and nothing else. The same commit gives the same bytes: there is no time and no path in it.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock_check

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "sbom"
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/requirements.lock"))
PROGRAMS = {**{service: f"chapar-{service}" for service in SERVICES}, "chapar": "chapar-client"}
"""What is installed somewhere, and the package that it is made of."""
LINKS = ("distribution", "vcs", "website")

Bom = dict[str, Any]


def environment() -> Bom:
    """All that is installed here."""
    command = (sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--no-validate")
    asked = (*command, "--spec-version", "1.6", "--output-format", "JSON", sys.executable)
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"cyclonedx-py failed: {done.stderr}")
    return dict(json.loads(done.stdout))


def closure(package: str) -> set[str]:
    """The names of all that a package needs on this machine, itself included, by what the packages say."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(package, frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        found.add(name)
        for line in distribution(name).requires or ():
            need = Requirement(line)
            wanted = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras | {""})
            step = (str(canonicalize_name(need.name)), frozenset(need.extras))
            if wanted and step not in seen:
                seen.add(step)
                waiting.append(step)
    return found


def of_program(whole: Bom, package: str) -> Bom:
    """The part of an environment that a package needs, with itself as what is described."""
    names = closure(package)
    hashes = _hashes(ROOT / "requirements.lock")
    components = {
        component["bom-ref"]: _described(component, hashes)
        for component in whole["components"]
        if canonicalize_name(component["name"]) in names
    }
    root = next(ref for ref, component in components.items() if component["name"] == package)
    dependencies = [
        {"ref": edge["ref"], "dependsOn": [ref for ref in edge.get("dependsOn", ()) if ref in components]}
        for edge in whole["dependencies"]
        if edge["ref"] in components
    ]
    main = {**components.pop(root), "type": "application"}
    metadata = {**whole["metadata"], "component": main}
    return {**whole, "metadata": metadata, "components": list(components.values()), "dependencies": dependencies}


def _hashes(lock: Path) -> dict[str, list[str]]:
    found = lock_check.entries(lock)
    return {canonicalize_name(Requirement(requirement).name): digests for requirement, digests in found}


def _described(component: Bom, hashes: dict[str, list[str]]) -> Bom:
    """A component with the digests of its lock, without paths of this machine and advertisements."""
    component = copy.deepcopy(component)
    links = [link for link in component.pop("externalReferences", []) if link["type"] in LINKS]
    links = [link for link in links if not link["url"].startswith("file:")]
    digests = hashes.get(canonicalize_name(component["name"]))
    if digests:
        allowed = [{"alg": "SHA-256", "content": digest} for digest in sorted(digests)]
        comment = "the files that requirements.lock allows"
        links.append({"type": "distribution", "url": component["purl"], "comment": comment, "hashes": allowed})
    return {**component, "externalReferences": links} if links else component


def names(bom: Bom) -> dict[str, str]:
    """Name to version of the packages of others in it."""
    found = {canonicalize_name(component["name"]): component["version"] for component in bom["components"]}
    return {name: version for name, version in found.items() if not name.startswith("chapar-")}


def problems(boms: dict[str, Bom]) -> list[str]:
    """Where a bill is no CycloneDX, or not what the lock of its service installs."""
    found = []
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for program, bom in boms.items():
        if (error := validator.validate_str(json.dumps(bom))) is not None:
            found.append(f"{program}: not CycloneDX 1.6: {error}")
        if program in SERVICES:
            lock = lock_check.here(ROOT / "services" / program / "requirements.lock")
            listed = names(bom)
            found += [
                f"{program}: {name} is {listed.get(name)} in its bill, {lock.get(name)} in its lock; run `make locks`"
                for name in sorted(lock.keys() | listed.keys())
                if lock.get(name) != listed.get(name)
            ]
    return found


def bills() -> dict[str, Bom]:
    """A bill for each program."""
    whole = environment()
    return {program: of_program(whole, package) for program, package in PROGRAMS.items()}


def write(boms: dict[str, Bom], folder: Path) -> list[Path]:
    """Writes a file for each bill, and says which."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for program, bom in boms.items():
        file = folder / f"{program}.cdx.json"
        file.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n")
        files.append(file)
    return files


def main() -> None:
    """Writes the bills; fails when one is not right."""
    parser = argparse.ArgumentParser(prog="make sbom", description="Writes a CycloneDX bill of each program.")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to")
    parser.add_argument("--json", action="store_true", help="say it as one line of JSON")
    arguments = parser.parse_args()
    boms = bills()
    wrong = problems(boms)
    files = write(boms, arguments.out)
    counts = {program: len(bom["components"]) for program, bom in boms.items()}
    if arguments.json:
        print(json.dumps({"files": [str(file) for file in files], "components": counts, "problems": wrong}))
    else:
        for file, count in zip(files, counts.values(), strict=True):
            print(f"sbom: {file} ({count} components)")
        for problem in wrong:
            print(f"sbom: {problem}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
