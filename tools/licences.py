"""Under which licences the programs' packages come; fails on one that nobody has judged.

What a package declares is read from the bills of `tools.sbom`. Allowed is what stands in `ALLOWED`, by its SPDX id: a
licence that is not there, none at all and words that are no SPDX id all fail. The base of images (Debian and Python) is
not looked at here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from license_expression import AND, OR, ExpressionError, get_spdx_licensing
from packaging.utils import canonicalize_name

from tools import sbom

ALLOWED: Mapping[str, str] = {
    "0BSD": "permissive",
    "Apache-2.0": "permissive, with a grant of patents",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "CNRI-Python": "permissive: Python's before 2.1; within `regex`",
    "ISC": "permissive",
    "MIT": "permissive",
    "MIT-0": "permissive",
    "MPL-2.0": "changed files of the package itself stay under it; we change none",
    "PSF-2.0": "permissive: Python's own",
}
"""SPDX id to why it may be part of what runs."""
REFUSED: Mapping[str, str] = {
    "AGPL": "whoever runs the service would owe its source to every user of it",
    "LGPL": "would allow use by import, but asks that people can replace the package in an image; not needed so far",
    "GPL": "whoever gives an image away would owe the source of all that runs with it",
    "SSPL": "reaches everything that the service is run with",
}
"""What begins so is never allowed at run time."""
AGREEING: Mapping[str, str] = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Classifiers that say less than an SPDX id, and how the id beside them must begin."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A licence that somebody read: what it is, and the SHA-256 digest of the text; another text is judged anew."""

    spdx: str
    digest: str


JUDGED: Mapping[str, Judged] = {
    "async-timeout": Judged("Apache-2.0", "e18d7bb8f513e2c46bb585c94b585bd30720dd3ccb21ddb0786f72d16658f92c"),
    "motor": Judged("Apache-2.0", "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"),
    "protobuf": Judged("BSD-3-Clause", "6e5e117324afd944dcf67f36cf329843bc1a92229a8cd9bb573d7a83130fea7d"),
}
"""Packages that declare no SPDX id."""


def declared(component: sbom.Bom) -> tuple[list[str], list[str]]:
    """SPDX ids and expressions that a component declares, and whatever else it says."""
    spdx, other = [], []
    for entry in component.get("licenses", ()):
        licence = entry.get("license", {})
        if "expression" in entry or "id" in licence:
            spdx.append(entry.get("expression") or licence["id"])
        else:
            other.append(licence.get("name", "?"))
    return spdx, other


def problem_of(expression: str) -> str:
    """Why an SPDX expression is not allowed; empty when it is."""
    try:
        parsed = get_spdx_licensing().parse(expression, validate=True, strict=True)
    except ExpressionError as error:
        return f"no SPDX expression: {error}"
    return "says nothing" if parsed is None else _problem(parsed)


def _problem(parsed: Any) -> str:
    if isinstance(parsed, (AND, OR)):
        found = [_problem(part) for part in parsed.args]
        return "" if isinstance(parsed, OR) and "" in found else "; ".join(filter(None, found))
    key = parsed.render()
    if key in ALLOWED:
        return ""
    why = next((why for begin, why in REFUSED.items() if key.upper().startswith(begin)), "")
    return f"{key} is never allowed at run time: {why}" if why else f"{key} is not among the allowed ones"


def texts(name: str) -> Iterator[bytes]:
    """The licences' texts that an installed package brings."""
    for file in distribution(name).files or ():
        if "LICENSE" in file.name.upper() or "COPYING" in file.name.upper():
            yield file.read_binary()


def licence(component: sbom.Bom, judged: Mapping[str, Judged] = JUDGED) -> tuple[str, str]:
    """A component's licence as an SPDX expression, and what is wrong with it; the second is empty when nothing is."""
    name = canonicalize_name(component["name"])
    spdx, other = declared(component)
    if name in judged:
        return judged[name].spdx, problem_of(judged[name].spdx) or _stale(name, judged[name], spdx)
    if not spdx:
        return "unknown", f"declares {other or 'nothing'}; read its licence and put it into tools/licences.py, JUDGED"
    whole = spdx[0] if len(spdx) == 1 else " AND ".join(f"({one})" for one in spdx)
    disagreeing = [words for words in other if not _agrees(words, whole)]
    return whole, problem_of(whole) or (f"declares {whole} and also {disagreeing}" if disagreeing else "")


def _agrees(classifier: str, spdx: str) -> bool:
    return classifier in AGREEING and AGREEING[classifier] in spdx


def _stale(name: str, judged: Judged, spdx: list[str]) -> str:
    if spdx:
        return f"declares {spdx} by now; remove it from tools/licences.py, JUDGED"
    try:
        found = {hashlib.sha256(text).hexdigest() for text in texts(name)}
    except PackageNotFoundError:
        found = set()
    return "" if judged.digest in found else "its licence is not the text that was judged: read it again"


def report(bills: Mapping[str, sbom.Bom]) -> list[dict[str, Any]]:
    """A row for each package of others in the bills: name, version, licence, programs, problem."""
    rows: dict[str, dict[str, Any]] = {}
    for program, bill in bills.items():
        for component in bill["components"]:
            name = canonicalize_name(component["name"])
            if name in rows:
                rows[name]["programs"].append(program)
            elif not name.startswith("chapar-"):
                spdx, problem = licence(component)
                rows[name] = {
                    "name": name, "version": component["version"], "licence": spdx, "programs": [program],
                    "problem": problem,
                }  # fmt: skip
    return [rows[name] for name in sorted(rows)]


def main() -> None:
    """Prints a line for each package; fails when one has a problem."""
    parser = argparse.ArgumentParser(prog="make licences", description="Under which licences packages come.")
    parser.add_argument("--json", action="store_true", help="say it as one line of JSON")
    arguments = parser.parse_args()
    rows = report(sbom.bills())
    if arguments.json:
        print(json.dumps(rows))
    for row in () if arguments.json else rows:
        print(f"{row['name']:36} {row['version']:12} {row['licence']:30} {', '.join(row['programs'])}")
    wrong = [f"licences: {row['name']} {row['version']}: {row['problem']}" for row in rows if row["problem"]]
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
