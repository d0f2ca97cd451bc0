"""Checkov's rules for objects of Kubernetes: all hold but three, which are waived, each for its reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools.apart import environment
from tools.charts.helm import ROOT
from tools.charts.render import RENDERED

pytestmark = [pytest.mark.charts, pytest.mark.timeout(600)]
LOCK = ROOT / "tools" / "checkov" / "requirements.lock"
WAIVED = {
    "CKV_K8S_11": "no CPU limits: throttling delays heartbeats, and costs a process its partitions",
    "CKV_K8S_15": "tags are versions and never moved: a node that has one need not reach the registry to restart",
    "CKV_K8S_43": "nobody publishes these images: whoever builds them knows the digest, and gives it as `image.digest`",
}
SETS = ("production", "external-secret")
"""Those that are for people's data; the defaults make nothing that these do not."""


def failed_checks(folder: Path) -> set[str]:
    program = environment("checkov", LOCK) / "bin" / "checkov"
    how = ("--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--output", "json")
    done = subprocess.run([program, "--directory", folder, *how], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 300, done.stderr
    assert report["summary"]["parsing_errors"] == 0
    return {failed["check_id"] for failed in report["results"]["failed_checks"]}


@pytest.mark.parametrize("name", SETS)
def test_every_rule_holds_but_those_that_are_waived(name: str) -> None:
    wanted = set() if name == "external-secret" else set(WAIVED)
    assert failed_checks(RENDERED / name) == wanted
