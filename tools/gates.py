"""The gates of the supply chain, each with what it looked at: locks by hash, bills of programs, licences.

`make check` has the gate for our own code (bandit). Known vulnerabilities of packages need a database that is asked
over the network: docs/security/README.md says how an operator's CI asks it.
"""

from __future__ import annotations

import sys

from tools import licences, lock_check, sbom


def main() -> None:
    """Runs all gates; any problem fails."""
    boms = sbom.bills()
    rows = licences.report(boms)
    files = sbom.write(boms, sbom.OUT)
    locks = lock_check.locks()
    packages = sum(1 for _ in lock_check.entries(locks[0]))
    gates = {
        f"locks: {len(locks)} of them, {packages} packages here": lock_check.problems(),
        f"bills: {len(files)} programs": sbom.problems(boms),
        f"licences: {len(rows)} packages": [f"{row['name']}: {row['problem']}" for row in rows if row["problem"]],
    }
    for what, problems in gates.items():
        print(f"gates: {what}: {'FAILED' if problems else 'good'}")
        for problem in problems:
            print(f"gates:   {problem}")
    sys.exit(any(gates.values()))


if __name__ == "__main__":
    main()
