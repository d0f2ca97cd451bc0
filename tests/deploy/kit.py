"""What charts make, as objects: the committed files of `deploy/helm/rendered`, which `make verify` keeps current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import yaml

from tools.charts.helm import CHARTS, SERVICES
from tools.charts.render import RENDERED, SET_NAMES

Object: TypeAlias = Mapping[str, Any]
OWNERS = tuple(service for service in SERVICES if service != "gateway")
RELEASES = [(name, service) for name in SET_NAMES for service in SERVICES]
"""Every value set with every service."""


@cache
def objects(name: str, service: str) -> Sequence[Object]:
    """The objects of one release, or of the umbrella's."""
    documents = yaml.safe_load_all((RENDERED / name / f"{service}.yaml").read_text())
    return [one for one in documents if one is not None]


@cache
def facts(service: str) -> Mapping[str, Any]:
    """What the chart says of its service."""
    read: Mapping[str, Any] = yaml.safe_load((CHARTS / service / "facts.yaml").read_text())
    return read


def of_kind(name: str, service: str, kind: str) -> list[Object]:
    """The objects of a kind, hooks left out."""
    return [one for one in objects(name, service) if one["kind"] == kind and not is_hook(one)]


def only(name: str, service: str, kind: str) -> Object:
    """The one object of a kind that a release has."""
    (found,) = of_kind(name, service, kind)
    return found


def is_hook(one: Object) -> bool:
    """Whether helm runs it around an installation rather than keeping it."""
    return "helm.sh/hook" in one["metadata"].get("annotations", {})


def pod_of(one: Object) -> Mapping[str, Any]:
    """The pod template of a Deployment or Job."""
    template: Mapping[str, Any] = one["spec"]["template"]
    return template


def pods(name: str, service: str) -> Iterator[Mapping[str, Any]]:
    """All pod templates of a release, those of hooks among them."""
    for one in objects(name, service):
        if one["kind"] in ("Deployment", "Job"):
            yield pod_of(one)


def container(name: str, service: str) -> Mapping[str, Any]:
    """The process's container."""
    (found,) = pod_of(only(name, service, "Deployment"))["spec"]["containers"]
    read: Mapping[str, Any] = found
    return read


def containers(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """All containers of a pod, those that run first among them."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(one: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment, with the pod's address put in."""
    return {
        variable["name"]: variable.get("value", "10.1.2.3").replace("$(POD_IP)", "10.1.2.3") for variable in one["env"]
    }
