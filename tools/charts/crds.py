"""Schemas of objects that operators bring with them: their own CRDs, from their Go modules into the user's cache, once.

Strimzi is no Go module; `STRIMZI` says in our own words what its CRDs take of the fields that charts use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from tools.go_files import Source, folder_with


class Kind(NamedTuple):
    """What an object says it is."""

    api_version: str
    kind: str


SOURCES = (
    Source("github.com/cert-manager/cert-manager", "v1.21.2", ("deploy/crds/cert-manager.io_certificates.yaml",)),
    Source("github.com/kedacore/keda/v2", "v2.21.0", ("config/crd/bases/keda.sh_scaledobjects.yaml",)),
    Source(
        "github.com/prometheus-operator/prometheus-operator", "v0.85.0",
        (
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ),
    ),
    Source(
        "sigs.k8s.io/gateway-api", "v1.6.0",
        (
            "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_backendtlspolicies.yaml",
        ),
    ),
    Source(
        "github.com/external-secrets/external-secrets", "v1.3.2",
        ("config/crds/bases/external-secrets.io_externalsecrets.yaml",),
    ),
)  # fmt: skip

_TEXT = {"type": "string", "minLength": 1}
_NUMBER = {"type": "integer", "minimum": 1}
STRIMZI_GROUP = "kafka.strimzi.io"
STRIMZI: Mapping[str, Mapping[str, Any]] = {
    "KafkaTopic": {
        "type": "object",
        "required": ["topicName", "partitions", "replicas"],
        "additionalProperties": False,
        "properties": {
            "topicName": _TEXT,
            "partitions": _NUMBER,
            "replicas": {**_NUMBER, "maximum": 32767},
            "config": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "KafkaUser": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "authentication": {
                "type": "object",
                "required": ["type"],
                "additionalProperties": False,
                "properties": {"type": {"enum": ["scram-sha-512", "tls", "tls-external"]}},
            },
            "authorization": {
                "type": "object",
                "required": ["type", "acls"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "simple"},
                    "acls": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["resource", "operations"],
                            "additionalProperties": False,
                            "properties": {
                                "host": _TEXT,
                                "operations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "enum": [
                                            "Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction",
                                            "AlterConfigs", "DescribeConfigs", "IdempotentWrite", "All",
                                        ]
                                    },
                                },
                                "resource": {
                                    "type": "object",
                                    "required": ["type", "name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "type": {"enum": ["topic", "group", "cluster", "transactionalId"]},
                                        "name": _TEXT,
                                        "patternType": {"enum": ["literal", "prefix"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def schemas() -> Mapping[Kind, Mapping[str, Any]]:
    """The strict schema of each kind: fields that its operator does not know are refused."""
    found: dict[Kind, Mapping[str, Any]] = {
        Kind(f"{STRIMZI_GROUP}/v1", name): _whole({"spec": spec}) for name, spec in STRIMZI.items()
    }
    for definition in (one["spec"] for one in _files()):
        for version in definition["versions"]:
            kind = Kind(f"{definition['group']}/{version['name']}", definition["names"]["kind"])
            properties = version["schema"]["openAPIV3Schema"]["properties"]
            found[kind] = _whole({"spec": _strict(properties["spec"])})
    return found


def definitions() -> Sequence[Mapping[str, Any]]:
    """The CRDs themselves, for an API server."""
    return [*_files(), *(_strimzi(name, spec) for name, spec in STRIMZI.items())]


def _files() -> Sequence[Mapping[str, Any]]:
    return [yaml.safe_load(path.read_text()) for path in sorted(folder_with("chapar-crds", SOURCES).glob("*.yaml"))]


def _strimzi(kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    singular = kind.lower()
    schema = {"type": "object", "properties": {"spec": _structural(spec)}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{STRIMZI_GROUP}"},
        "spec": {
            "group": STRIMZI_GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "singular": singular, "plural": f"{singular}s"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


def _structural(schema: Any) -> Any:
    """The same in the words that API servers know; unknown fields they refuse by themselves."""
    if isinstance(schema, list):
        return [_structural(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _structural(value) for name, value in schema.items() if name != "const"}
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if "enum" in made:
        made["type"] = "string"
    if made.get("additionalProperties") is False:
        del made["additionalProperties"]
    return made


def _whole(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object with what every one has around the part that is its own; metadata are checked by the others' schema."""
    around = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {
        "type": "object",
        "required": [*around, *properties],
        "additionalProperties": False,
        "properties": {**around, **properties},
    }


def _strict(schema: Any) -> Any:
    """The same with unknown fields refused, as an API server does with strict validation."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # Names of properties may be words of schemas: only the values of `properties` are schemas again.
    made = {
        name: {inner: _strict(one) for inner, one in value.items()} if name == "properties" else _strict(value)
        for name, value in schema.items()
    }
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not open_:
        made["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    return made
