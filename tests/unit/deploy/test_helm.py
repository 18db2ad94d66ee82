"""The Helm chart: its values and objects, rendered by Go's template engine."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

import stemline
from stemline.runtime.settings import Settings
from tests.conftest import REPOSITORY, missing

CHART = REPOSITORY / "deploy" / "helm" / "stemline"
RENDERER = REPOSITORY / "tests" / "support" / "helm" / "render.go"
#: Kinds defined by operators, for which Kubernetes has no schemas.
CUSTOM = {"PodMonitor", "ScaledObject"}
SECRETS = {
    "STEMLINE_REDIS_URL": "redis://valkey:6379/0",
    "STEMLINE_CREDENTIALS": "[]",
    "STEMLINE_BUCKETS": "{}",
    "FLOWER_BASIC_AUTH": "a:b",
}

Render = Callable[[dict[str, Any]], list[dict[str, Any]]]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge values as Helm does: maps recursively, all else by replacement."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if inner else value
    return result


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """The renderer, compiled."""
    beside = Path(sys.executable).with_name("go")
    go = str(beside) if beside.exists() else shutil.which("go")
    if go is None:
        missing("go")
    built = tmp_path_factory.mktemp("helm") / "render"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GO111MODULE": "off", "CGO_ENABLED": "0"}
    subprocess.run([go, "build", "-o", str(built), str(RENDERER)], env=env, check=True)
    return built


@pytest.fixture(scope="module")
def render(program, values, schema) -> Render:
    """A function that renders the chart with some values replaced and returns all objects."""

    def objects(over: dict[str, Any]) -> list[dict[str, Any]]:
        given = merged(values, over)
        jsonschema.validate(given, schema)
        release = {"Name": "night", "Namespace": "media", "Service": "Helm"}
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        data = {"Values": given, "Release": release, "Chart": {"AppVersion": chart["appVersion"]}}
        done = subprocess.run(
            [str(program), str(CHART)], input=json.dumps(data), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(done.stderr)
        files = re.split(r"^---\n# Source: (\S+)\n", done.stdout, flags=re.MULTILINE)[1:]
        texts = [text for name, text in zip(files[::2], files[1::2], strict=True) if name.endswith(".yaml")]
        return [each for text in texts for each in yaml.safe_load_all(text) if each]

    return objects


@pytest.fixture(scope="module")
def everything(render) -> list[dict[str, Any]]:
    """All objects that the chart can create."""
    scaled = {"enabled": True, "scaling": {"enabled": True}, "modelsClaim": "weights"}
    return render(
        {
            "secret": {"values": SECRETS},
            "workers": {"gpu": scaled, "night": dict(NIGHT)},
            "metrics": {"podMonitor": True},
            "image": {"registry": "registry.example.com/", "pullSecrets": ["pull"]},
            "api": {"ingress": {"enabled": True, "hosts": ["*.ci.example.com"], "tlsSecret": "tls"}},
        }
    )


NIGHT = {
    "enabled": True,
    "image": "worker",
    "device": "cpu",
    "levels": [0],
    "replicas": 1,
    "graceSeconds": 60,
    "resources": {},
    "scratchSize": "5Gi",
    "settings": {"STEMLINE_THREADS": "2"},
    "scaling": {"enabled": False, "min": 0, "max": 1, "cooldownSeconds": 60},
}


def of(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return one


def test_the_default_values_are_valid(values, schema):
    """The default values match the schema."""
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [] == list(validator.iter_errors(values))


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker": {}},
        {"workers": {"cpu": {"levels": [3]}}},
        {"workers": {"cpu": {"replica": 3}}},
        {"settings": {"REGION": "x"}},
        {"settings": {"STEMLINE_THREADS": 2}},
        {"image": {"registry": "registry.example.com"}},
    ],
)
def test_invalid_values_are_refused(wrong, values, schema):
    """An unknown name or a value of the wrong type is an error."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(values, wrong), schema)


@pytest.mark.parametrize("version", ["1.28", "1.34"])
def test_every_object_is_valid_for_kubernetes(everything, version: str):
    """Each rendered object matches the schema of Kubernetes and has no unknown field."""
    assert len(everything) > 20
    for each in everything:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_names_are_unique(everything):
    """No two objects have the same kind and name."""
    names = [(each["kind"], each["metadata"]["name"]) for each in everything]
    assert len(set(names)) == len(names)


def test_pods_are_unprivileged(everything):
    """Pods have an unprivileged user, a read-only root, no capabilities, no token and a memory limit."""
    for name, deployment in of(everything, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        rights = container(deployment)["securityContext"]
        assert rights["readOnlyRootFilesystem"], name
        assert not rights["allowPrivilegeEscalation"], name
        assert ["ALL"] == rights["capabilities"]["drop"], name


def test_pods_are_started_with_settings_that_exist(everything, monkeypatch):
    """Every STEMLINE_ variable is a setting, with a valid value."""
    (config,) = of(everything, "ConfigMap").values()
    known = {f"STEMLINE_{name.upper()}" for name in Settings().by_variable()}
    for name, deployment in of(everything, "Deployment").items():
        given = dict(config["data"])
        for entry in container(deployment).get("env", []):
            given[entry["name"]] = entry.get("value") or SECRETS.get(entry["name"])
        given.pop("FLOWER_BASIC_AUTH", None)
        assert set(given) <= known, name
        with monkeypatch.context() as patched:
            for key, value in given.items():
                if value is not None:
                    patched.setenv(key, value)
            Settings()


def test_a_secret_goes_only_where_it_is_needed(everything):
    """Workers do not get the keys that sign requests; Flower and Celery beat do not get those of buckets."""
    deployments = of(everything, "Deployment")

    def secrets(name: str) -> set[str]:
        entries = container(deployments[name])["env"]
        return {entry["name"] for entry in entries if "valueFrom" in entry}

    assert "STEMLINE_CREDENTIALS" not in secrets("night-worker-cpu")
    assert {"STEMLINE_REDIS_URL", "STEMLINE_BROKER_URL"} == secrets("night-beat")
    assert {"STEMLINE_REDIS_URL", "STEMLINE_BROKER_URL", "FLOWER_BASIC_AUTH"} == secrets("night-flower")


def test_a_worker_is_killed_only_long_after_its_grace(everything):
    """The pod has more time than a stopped worker needs to finish its job or to release it."""
    pools = {name: d for name, d in of(everything, "Deployment").items() if "-worker-" in name}
    assert {"night-worker-cpu", "night-worker-gpu", "night-worker-night"} == set(pools)
    for name, deployment in pools.items():
        (grace,) = (
            e["value"] for e in container(deployment)["env"] if e["name"] == "STEMLINE_WORKER_GRACE_S"
        )
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= int(grace) + 60, (
            name
        )
    longest = Settings().workers.job_time_limit_s
    (grace,) = (
        e["value"]
        for e in container(pools["night-worker-gpu"])["env"]
        if e["name"] == "STEMLINE_WORKER_GRACE_S"
    )
    assert int(grace) >= longest


def test_the_autoscaler_counts_waiting_and_running_jobs(everything):
    """Pools are scaled by metrics; missing data is not zero, and the deployment itself sets no number."""
    (scaled,) = of(everything, "ScaledObject").values()
    name = scaled["spec"]["scaleTargetRef"]["name"]
    assert "night-worker-gpu" == name
    assert "replicas" not in of(everything, "Deployment")[name]["spec"]
    (trigger,) = scaled["spec"]["triggers"]
    assert "false" == trigger["metadata"]["ignoreNullValues"]
    query = trigger["metadata"]["query"]
    assert 'level=~"2|1|0"' in query
    sources = "".join(
        (REPOSITORY / f).read_text() for f in ("runtime/store_metrics.py", "workers/metrics.py")
    )
    wanted = {"stemline_jobs_startable", "stemline_attempts_running"}
    assert wanted == set(re.findall(r"stemline_\w+", query))
    for metric in wanted:
        assert f'"{metric}"' in sources


def test_disruption_budgets_and_policies_select_pods_that_exist(everything):
    """Every selector matches pods of the chart."""
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in of(everything, "Deployment").values()]
    for kind in ("PodDisruptionBudget", "NetworkPolicy", "Service", "PodMonitor"):
        for name, each in of(everything, kind).items():
            spec = each["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= pod.items() for pod in labels), (kind, name)


def test_a_release_without_secrets_is_refused(render):
    """Without credentials for the store the chart is not rendered."""
    with pytest.raises(ValueError, match=r"set secret\.existing"):
        render({})


def test_an_existing_secret_is_used(render):
    """With secret.existing the chart creates no secret and refers to that one."""
    objects = render({"secret": {"existing": "mine"}})
    assert not of(objects, "Secret")
    entries = container(of(objects, "Deployment")["night-api"])["env"]
    assert {"mine"} == {e["valueFrom"]["secretKeyRef"]["name"] for e in entries}


def test_the_chart_has_the_version_of_the_package():
    """The chart refers to the images of this version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert stemline.__version__ == chart["version"] == chart["appVersion"]
