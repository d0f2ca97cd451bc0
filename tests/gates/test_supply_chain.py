"""Locks, bills and licences: that they are good, and that each gate fails on what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import licences, lock_check, sbom

pytestmark = pytest.mark.xdist_group("supply-chain")
HASH = "--hash=sha256:" + "a" * 64


@pytest.fixture(scope="module")
def bills() -> dict[str, sbom.Bom]:
    return sbom.bills()


def lock(folder: Path, *lines: str) -> Path:
    path = folder / "requirements.lock"
    path.write_text("# a lock\n" + "\n".join(lines) + "\n")
    return path


def said(component: dict[str, Any]) -> str:
    return licences.licence({"name": "thing", **component}, {})[1]


def spdx(*expressions: str) -> dict[str, Any]:
    return {"licenses": [{"expression": expression} for expression in expressions]}


# ---- locks


def test_the_locks_are_whole_and_what_is_installed() -> None:
    assert lock_check.problems() == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("thing==1.0", "has no hash"),
        ("thing==1.0 \\\n    --hash=sha256:abc", "has no hash"),
        (f"thing>=1.0 {HASH}", "is not pinned"),
        (f"thing @ https://example.org/thing.whl {HASH}", "names an address"),
    ],
)
def test_one_requirement_without_its_hash_among_good_ones_fails(tmp_path: Path, line: str, problem: str) -> None:
    good = f"good==1.0 \\\n    {HASH}"
    assert lock_check.lock_problems(lock(tmp_path, good), "lock") == []
    found = lock_check.lock_problems(lock(tmp_path, good, line, good), "lock")
    assert [one for one in found if problem in one]


def test_another_version_too_much_and_too_little_installed_fail(tmp_path: Path) -> None:
    for name, version in (("kept", "1.0"), ("older", "1.0"), ("foreign", "1.0")):
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    elsewhere = f"elsewhere==1.0 ; sys_platform == 'win32' {HASH}"
    path = lock(tmp_path, f"kept==1.0 {HASH}", f"older==2.0 {HASH}", f"missing==1.0 {HASH}", elsewhere)
    found = lock_check.installed_problems(path, [str(tmp_path)])
    assert [one.split(";")[0] for one in found] == [
        "installed: foreign is 1.0, requirements.lock wants None",
        "installed: missing is None, requirements.lock wants 1.0",
        "installed: older is 1.0, requirements.lock wants 2.0",
    ]


# ---- bills


def test_the_bill_of_a_service_is_what_its_lock_installs(bills: dict[str, sbom.Bom]) -> None:
    for service in sbom.SERVICES:
        wanted = lock_check.here(lock_check.ROOT / "services" / service / "requirements.lock")
        assert sbom.names(bills[service]) == wanted
        assert bills[service]["metadata"]["component"]["name"] == f"chapar-{service}"
    assert "typer" in sbom.names(bills["chapar"])


def test_every_package_of_others_has_digests_and_no_path_of_this_machine_is_told(bills: dict[str, sbom.Bom]) -> None:
    for bill in bills.values():
        for component in bill["components"]:
            links = component.get("externalReferences", [])
            own = component["name"].startswith("chapar-")
            assert own or any(link.get("hashes") for link in links), component
        assert str(lock_check.ROOT) not in json.dumps(bill)


def test_the_same_commit_gives_the_same_bytes(bills: dict[str, sbom.Bom], tmp_path: Path) -> None:
    first = [file.read_bytes() for file in sbom.write(bills, tmp_path / "first")]
    second = [file.read_bytes() for file in sbom.write(sbom.bills(), tmp_path / "second")]
    assert first == second


def test_a_bill_that_lacks_a_package_or_is_no_cyclonedx_fails(bills: dict[str, sbom.Bom]) -> None:
    gateway = bills["gateway"]
    short = {**gateway, "components": [one for one in gateway["components"] if one["name"] != "structlog"]}
    wrong = {**gateway, "components": [{"name": "thing", "type": "nonsense"}]}
    assert [one for one in sbom.problems({"gateway": short}) if "structlog is None in its bill" in one]
    assert [one for one in sbom.problems({"chapar": wrong}) if "not CycloneDX" in one]


# ---- licences


def test_all_that_runs_comes_under_licences_that_are_allowed(bills: dict[str, sbom.Bom]) -> None:
    rows = licences.report(bills)
    assert {"grpcio", "aiokafka", "typer"} <= {row["name"] for row in rows}
    assert [row for row in rows if row["problem"]] == []


@pytest.mark.parametrize("refused", ["GPL-2.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "LGPL-2.1-only", "SSPL-1.0"])
def test_copyleft_fails_however_it_is_declared(refused: str) -> None:
    assert "never allowed" in said({"licenses": [{"license": {"id": refused}}]})
    assert "never allowed" in said(spdx(f"MIT AND {refused}"))
    assert "never allowed" in said(spdx("MIT", refused))
    assert said(spdx(f"MIT OR {refused}")) == ""
    assert "never allowed" in said(spdx(f"{refused} WITH Classpath-exception-2.0"))


def test_what_nobody_has_judged_fails() -> None:
    assert "not among the allowed" in said(spdx("BUSL-1.1"))
    assert "not among the allowed" in said(spdx("Apache-2.0 WITH LLVM-exception"))
    assert "no SPDX expression" in said(spdx("Beer, mostly"))
    assert "declares nothing" in said({})
    assert "read its licence" in said({"licenses": [{"license": {"name": "License :: OSI Approved :: MIT License"}}]})


def test_a_classifier_that_contradicts_the_id_beside_it_fails() -> None:
    gpl = {"license": {"name": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}}
    mit = {"license": {"name": "License :: OSI Approved :: MIT License"}}
    declared = {"license": {"id": "MIT"}}
    assert said({"licenses": [declared, mit]}) == ""
    assert "and also" in said({"licenses": [declared, gpl]})


def test_a_judgement_holds_for_the_text_that_was_read() -> None:
    motor = {"name": "motor", "licenses": []}
    assert licences.licence(motor) == ("Apache-2.0", "")
    other = {"motor": licences.Judged("Apache-2.0", "0" * 64)}
    assert "read it again" in licences.licence(motor, other)[1]
    assert "remove it" in licences.licence({**motor, **spdx("Apache-2.0")})[1]
