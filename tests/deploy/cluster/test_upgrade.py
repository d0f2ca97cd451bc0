"""From the charts before their last change to those of now, and back, with the values that were written for the old."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.cluster.kit import PATIENCE, Cluster, Identity, beside_each_other, eventually, release_of
from tests.deploy.cluster.observed import ReadyCounts
from tools.charts.helm import ROOT, SERVICES, run
from tools.charts.render import PARTS
from tools.cluster.pods import is_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
SET = "production"
REPLICAS = 2
FEWER = ("--set", f"autoscaling.min={REPLICAS}")
NEW_IMAGE = ("--set", "image.tag=0.2.0")
WHERE = ("--namespace", "upgrade", "--wait", "--timeout", PATIENCE)
PARTS_OF_CHARTS = ("deploy/helm", ":!deploy/helm/rendered", ":!deploy/helm/README.md")


def git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments[0]}, which knows the charts of before: {done.stderr}"
    return done.stdout.strip()


def commit_before() -> str:
    """The last commit whose charts are not those that are here."""
    if git("status", "--porcelain", "--", *PARTS_OF_CHARTS):
        return git("rev-parse", "HEAD")
    return git("rev-parse", git("rev-list", "--max-count=1", "HEAD", "--", *PARTS_OF_CHARTS) + "^")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charts and sets of values of before."""
    folder = tmp_path_factory.mktemp("old")
    archive = folder / "old.tar"
    git("archive", f"--output={archive}", commit_before(), "deploy/helm")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    charts = folder / "deploy" / "helm"
    for service in SERVICES:
        run("dependency", "build", str(charts / service))
    return charts


def values_of(old: Path, service: str) -> Sequence[str]:
    """Arguments: the files that an operator has written for the old charts."""
    files = [old / "sets" / SET / f"{part}.yaml" for part in PARTS.get(service, ("all", "owners", service))]
    return [part for file in files if file.exists() for part in ("--values", str(file))]


def installed(cluster: Cluster) -> Mapping[Identity, Any]:
    """What helm has made, without what others say in it."""
    return {
        Identity(one["kind"], one["metadata"]["name"]): {
            name: value for name, value in one.items() if name not in ("metadata", "status")
        }
        for one in cluster.objects("upgrade")
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "Helm"
        and not one["metadata"].get("ownerReferences")
        and one["kind"] not in ("Endpoints", "EndpointSlice")
    }


def images(cluster: Cluster) -> set[str]:
    """Those of all processes that serve, once there are as many as there should be and no others."""
    pods: list[Mapping[str, Any]] = []

    def settled() -> bool:
        found = cluster.api.get("/api/v1/namespaces/upgrade/pods")["items"]
        pods[:] = [pod for pod in found if release_of(pod)]
        return len(pods) == REPLICAS * len(SERVICES) and all(map(is_ready, pods))

    eventually(settled)
    return {re.sub(r".*/", "", pod["spec"]["containers"][0]["image"]) for pod in pods}


def test_charts_are_upgraded_and_rolled_back(cluster: Cluster, charts: Path, old: Path) -> None:
    cluster.make_namespace("upgrade")
    beside_each_other(*(
        partial(
            cluster.helm, "install", f"chapar-{service}", str(old / service), *values_of(old, service), *FEWER, *WHERE
        )
        for service in SERVICES
    ))  # fmt: skip
    assert images(cluster) == {f"{service}:0.1.0" for service in SERVICES}
    before = installed(cluster)
    with ReadyCounts(cluster.api, "upgrade") as counts:
        beside_each_other(*(
            partial(
                cluster.helm, "upgrade", f"chapar-{service}", str(charts / service),
                *values_of(old, service), *FEWER, *NEW_IMAGE, *WHERE,
            )
            for service in SERVICES
        ))  # fmt: skip
        assert images(cluster) == {f"{service}:0.2.0" for service in SERVICES}
        assert installed(cluster) != before
        beside_each_other(
            *(partial(cluster.helm, "rollback", f"chapar-{service}", "1", *WHERE) for service in SERVICES)
        )
        assert images(cluster) == {f"{service}:0.1.0" for service in SERVICES}
    assert installed(cluster) == before
    assert {service: counts.least(service) for service in SERVICES} == dict.fromkeys(SERVICES, REPLICAS)
