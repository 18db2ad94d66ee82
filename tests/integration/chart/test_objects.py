"""The objects that the chart renders."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from stemline.runtime.settings import Settings
from tests.conftest import REPOSITORY
from tests.integration.chart.helm import (
    MATRIX,
    MINE,
    PODS,
    SECRETS,
    VERSIONS,
    check,
    container,
    egress_ports,
    of,
    pod,
)


def some(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, of which there must be one."""
    found = of(objects, kind)
    assert found, kind
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_kubernetes(everything, version: str):
    """Each rendered object matches the schemas of the supported versions of Kubernetes."""
    assert len(everything) > 20
    check(everything, version)


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


def test_jobs_end_before_the_scratch_volume_is_full(everything, values):
    """What jobs may take is 95 % of the volume, whatever its unit, and enough for the longest job."""
    longest_source, longest_stem_s, stem_bytes_per_s = 5 << 30, 5 * 3600, 96_000 * 2 * 4
    needed = longest_source + 4 * longest_stem_s * stem_bytes_per_s
    units = {"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
    pools = {name: d for name, d in of(everything, "Deployment").items() if "-worker-" in name}
    for name, deployment in pools.items():
        pod = deployment["spec"]["template"]["spec"]
        (size,) = (v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "scratch")
        (limit,) = (
            int(e["value"]) for e in container(deployment)["env"] if e["name"] == "STEMLINE_SCRATCH_BYTES"
        )
        assert limit == int(size[:-2]) * units[size[-2:]] * 95 // 100
        assert limit >= needed, name
    assert {"64Gi"} == {pool["scratchSize"] for pool in values["workers"].values()}


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


def test_an_existing_secret_is_used(render):
    """With secret.existing the chart creates no secret and refers to that one."""
    objects = render({"secret": {"existing": "mine"}})
    assert not of(objects, "Secret")
    entries = container(of(objects, "Deployment")["night-api"])["env"]
    secret = {e["valueFrom"]["secretKeyRef"]["name"] for e in entries if "valueFrom" in e}
    assert {"mine"} == secret


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
