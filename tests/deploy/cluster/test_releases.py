"""Releases beside each other: rolling one touches nothing of another, and ends no process before a new one serves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.cluster.kit import PATIENCE, Cluster, Identity, Version, beside_each_other, eventually
from tests.deploy.cluster.observed import ReadyCounts
from tools.charts.helm import INSTALLED
from tools.charts.render import release_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
REPLICAS = 2


def at_rest(cluster: Cluster, rolled: str) -> Mapping[Identity, Version]:
    """The state of everything but one release, once controllers have written down what they saw."""
    seen: list[Mapping[Identity, Version]] = [{}]

    def is_as_before() -> bool:
        seen.append(cluster.versions("roll", but=rolled))
        return seen[-1] == seen[-2]

    eventually(is_as_before)
    return seen[-1]


def test_rolling_one_service_touches_nothing_of_another(cluster: Cluster, charts: Path) -> None:
    """Not even a status: every other object is the one that it was, in the state in which it was."""
    cluster.make_namespace("roll")
    where = ("--namespace", "roll", "--wait", "--timeout", PATIENCE)
    beside_each_other(*(
        partial(cluster.helm, "install", release_of(chart), str(charts / chart), *where) for chart in INSTALLED
    ))  # fmt: skip
    rolled = release_of("messaging")
    before, old = at_rest(cluster, rolled), cluster.pods("roll", rolled)
    assert len(old) == REPLICAS
    assert {identity.kind for identity in before} > {"Pod", "ReplicaSet", "Deployment", "Secret", "PrometheusRule"}
    with ReadyCounts(cluster.api, "roll") as counts:
        cluster.helm("upgrade", rolled, str(charts / "messaging"), "--set", "image.tag=0.2.0", *where)
        eventually(lambda: len(cluster.pods("roll", rolled)) == REPLICAS)
    assert counts.least("messaging") == REPLICAS
    new = cluster.pods("roll", rolled)
    assert not {pod["metadata"]["uid"] for pod in old} & {pod["metadata"]["uid"] for pod in new}
    assert {pod["spec"]["containers"][0]["image"] for pod in new} == {"chapar/messaging:0.2.0"}
    assert cluster.versions("roll", but=rolled) == before
