"""Regenerates all that is generated and committed; passes when nothing changes.

Generated are: the contracts, the locks' consistency with the projects' pins, the references of RPCs, reasons, metrics
and rights, samples of all that is stored, values, schemas, READMEs and rendered objects of the charts, dashboards and
rules, the page of capacity.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tools import access_reference, capacity_page, golden, lock_check, metrics_reference, proto, reference
from tools.charts import __main__ as charts
from tools.watch import __main__ as watch

ROOT = Path(__file__).resolve().parent.parent
GENERATED = (
    "libs/contracts/src",
    "docs/reference",
    "docs/capacity.md",
    "tests/contracts/golden",
    "deploy/helm",
    "deploy/grafana",
    "deploy/prometheus/rules",
)


def fingerprints() -> dict[str, str]:
    """Digests of all generated files."""
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in GENERATED
        for path in (ROOT / name, *sorted((ROOT / name).rglob("*")))
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> None:
    """Compares before and after."""
    before = fingerprints()
    proto.main()
    reference.main()
    metrics_reference.main()
    access_reference.main()
    capacity_page.main()
    golden.main()
    watch.main()
    charts.main()
    after = fingerprints()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    problems = [f"{name}: not what its source generates; commit the regenerated file" for name in changed]
    problems += lock_check.problems()
    untracked = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "--", *GENERATED],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    problems += [f"{name}: generated but not committed" for name in untracked]
    for problem in problems:
        print(f"verify: {problem}")
    if problems:
        sys.exit(1)
    print("verify: everything generated is as committed")


if __name__ == "__main__":
    main()
