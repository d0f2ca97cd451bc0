"""One cluster for all tests; each has namespaces of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.cluster.kit import NODES, Cluster
from tools.charts.helm import CHARTS, INSTALLED, UMBRELLA, run
from tools.cluster.control import ControlPlane
from tools.cluster.nodes import FakeNodes


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ControlPlane(tmp_path_factory.mktemp("cluster") / "plane") as plane, FakeNodes(plane.api, NODES):
        made = Cluster(plane.api, plane.kubeconfig)
        made.prepare()
        yield made


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All charts as they are now, with their dependencies built as the walk-through says."""
    folder = tmp_path_factory.mktemp("charts") / "helm"
    shutil.copytree(CHARTS, folder, ignore=shutil.ignore_patterns("rendered", "*.tgz", "Chart.lock"))
    for chart in (*INSTALLED, UMBRELLA):
        run("dependency", "build", str(folder / chart))
    return folder
