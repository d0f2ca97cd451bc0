"""Every object is what its API takes: strictly, for each Kubernetes that is supported, and for the CRDs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from kubernetes_validate import ValidationError

from tests.deploy.kit import Object, objects
from tools.charts.crds import Kind, schemas
from tools.charts.render import RENDERINGS

pytestmark = pytest.mark.charts
KUBERNETES = ("1.32", "1.33", "1.34", "1.35", "1.36")
UMBRELLA = ("umbrella", "chapar")


@pytest.fixture(scope="module")
def crds() -> Mapping[Kind, Mapping[str, Any]]:
    return schemas()


def kind_of(one: Object) -> Kind:
    return Kind(one["apiVersion"], one["kind"])


@pytest.mark.parametrize(("name", "service"), [*RENDERINGS, UMBRELLA])
def test_objects_are_what_their_apis_take(name: str, service: str, crds: Mapping[Kind, Mapping[str, Any]]) -> None:
    for one in objects(name, service):
        if kind_of(one) in crds:
            jsonschema.Draft202012Validator(crds[kind_of(one)]).validate(one)
            continue
        # The umbrella's are those of the five again.
        for version in KUBERNETES[-1:] if name == "umbrella" else KUBERNETES:
            assert kubernetes_validate.validate(one, version, strict=True) == version


def test_every_kind_with_a_crd_is_made_by_some_set(crds: Mapping[Kind, Mapping[str, Any]]) -> None:
    made = {kind_of(one) for release in RENDERINGS for one in objects(*release)}
    latest = {kind for kind in made if kind in crds}
    assert {kind.kind for kind in latest} == {kind.kind for kind in crds}


def test_a_field_that_nobody_knows_is_refused(crds: Mapping[Kind, Mapping[str, Any]]) -> None:
    seen: set[Kind] = set()
    for release in RENDERINGS:
        for one in objects(*release):
            if "spec" not in one or kind_of(one) in seen:
                continue
            seen.add(kind_of(one))
            wrong: Any = copy.deepcopy(one)
            wrong["spec"]["unheardOf"] = 1
            if kind_of(one) in crds:
                assert not jsonschema.Draft202012Validator(crds[kind_of(one)]).is_valid(wrong)
            else:
                with pytest.raises(ValidationError):
                    kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)
    assert len(seen) > len(crds)
