"""What the Helm chart makes of options of pods: how many there are, and what reaches them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stemline.runtime.settings import Settings
from tests.integration.chart.helm import MINE, NIGHT, PODS, container, egress_ports, merged, of, pod


def test_the_autoscaler_counts_the_pods_of_its_pool_however_long_their_names(render):
    """Running jobs are counted by a label that the PodMonitor copies from the pods of this pool."""
    pool = merged(NIGHT, {"scaling": {"enabled": True}})
    pools = {"night": pool, "night-2": pool, "a" * 32: pool}
    objects = render({**MINE, "workers": pools, "metrics": {"podMonitor": True}})
    labels = [pod(objects, name)["metadata"]["labels"] for name in of(objects, "Deployment")]
    copied = of(objects, "PodMonitor")["night"]["spec"]["podTargetLabels"]
    found = of(objects, "ScaledObject")
    assert set(pools) == {name.removeprefix("night-worker-") for name in found}
    for name, scaled in found.items():
        query = scaled["spec"]["triggers"][0]["metadata"]["query"]
        assert 2 == query.count('namespace="media",installation="night"')
        assert "pod=" not in query
        (component,) = re.findall(r'app_kubernetes_io_component="([^"]+)"', query)
        assert "app.kubernetes.io/component" in copied
        (counted,) = (each for each in labels if component == each["app.kubernetes.io/component"])
        assert counted.items() >= of(objects, "Deployment")[name]["spec"]["selector"]["matchLabels"].items()


def test_the_autoscaler_starts_a_pod_for_as_many_jobs_as_it_does(render):
    """The threshold is what a pod does at once, wherever that is set, and as the worker reads it."""
    scaling = {"enabled": True, "scaling": {"enabled": True}}

    def own(**values: Any) -> dict[str, Any]:
        return {**merged(NIGHT, scaling), **values}

    variable = {"STEMLINE_WORKER_CONCURRENCY": "5"}
    pools = {
        "plain": own(),
        "gpu": {**scaling, "pods": {}},
        "few": own(device="cuda", image="worker-gpu", concurrency=2),
        "by-settings": own(concurrency=2, settings=variable),
        "by-default": own(concurrency=2, settings={"STEMLINE_WORKER_CONCURRENCY": "0"}),
        "by-variable": own(pods={"extraEnv": [{"name": next(iter(variable)), "value": "6"}]}),
        "found": own(device="auto", image="worker-gpu"),
    }
    wanted = {"plain": 1, "gpu": Settings().workers.slots("cuda"), "few": 2, "by-settings": 5}
    wanted |= {"by-default": 1, "by-variable": 6, "found": 1}
    objects = render({**MINE, "workers": pools})
    for name, jobs in wanted.items():
        full = f"night-worker-{name}"
        (trigger,) = of(objects, "ScaledObject")[full]["spec"]["triggers"]
        entries = [(e["name"], e.get("value")) for e in container(of(objects, "Deployment")[full])["env"]]
        assert str(jobs) == trigger["metadata"]["threshold"], name
        # A variable that is set twice is refused by server-side apply.
        assert [str(jobs)] == [value for key, value in entries if key == "STEMLINE_WORKER_CONCURRENCY"], name
    everywhere = render({**MINE, "settings": {**variable}, "workers": {"gpu": scaling}})
    assert (
        "5"
        == of(everywhere, "ScaledObject")["night-worker-gpu"]["spec"]["triggers"][0]["metadata"]["threshold"]
    )


def test_a_pool_whose_jobs_are_not_known_is_not_scaled(render):
    """A number that only the cluster knows is refused where the pool is scaled by it, and used elsewhere."""
    source = {
        "name": "STEMLINE_WORKER_CONCURRENCY",
        "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}},
    }
    pool: dict[str, Any] = {"concurrency": 2, "pods": {"extraEnv": [source]}}
    with pytest.raises(ValueError, match="worker-cpu: STEMLINE_WORKER_CONCURRENCY has to be a number"):
        render({**MINE, "workers": {"cpu": {**pool, "scaling": {"enabled": True}}}})
    worker = container(of(render({**MINE, "workers": {"cpu": pool}}), "Deployment")["night-worker-cpu"])
    assert [source] == [each for each in worker["env"] if each["name"] == source["name"]]


@pytest.mark.parametrize(
    ("everywhere", "pool", "seconds"),
    [
        ({}, {}, round(Settings().workers.job_time_limit_s)),
        ({"STEMLINE_JOB_TIME_LIMIT_S": "43200"}, {}, 43_200),
        ({"STEMLINE_JOB_TIME_LIMIT_S": "43200"}, {"settings": {"STEMLINE_JOB_TIME_LIMIT_S": "60.5"}}, 61),
        ({"STEMLINE_MODEL_TIME_LIMITS_S": '{"4stems": 30000, "x": 5}'}, {}, 30_000),
        ({"STEMLINE_JOB_TIME_LIMIT_S": "43200"}, {"graceSeconds": 0}, 0),
    ],
)
def test_a_worker_may_finish_the_longest_job(
    render, everywhere: dict[str, str], pool: dict[str, Any], seconds: int
):
    """The grace period is the longest time limit of jobs unless it is set; a pod has two minutes more."""
    objects = render({**MINE, "settings": everywhere, "workers": {"cpu": pool}})
    spec = pod(objects, "night-worker-cpu")["spec"]
    entries = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    assert (str(seconds), seconds + 120) == (
        entries["STEMLINE_WORKER_GRACE_S"],
        spec["terminationGracePeriodSeconds"],
    )


def test_each_variable_is_given_once(render):
    """Of a variable of the chart that is given again the last counts, and the others are left out."""
    host = {"STEMLINE_METRICS_HOST": "::"}
    url = {"name": "STEMLINE_REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "valkey", "key": "url"}}}
    cpu = {
        "settings": {**host, "STEMLINE_THREADS": "2"},
        "pods": {"extraEnv": [{"name": "MORE", "value": "1"}]},
    }
    deployments = of(render({**MINE, "pods": {"extraEnv": [url]}, "workers": {"cpu": cpu}}), "Deployment")
    assert len(deployments) == 5
    for name, deployment in deployments.items():
        entries = container(deployment)["env"]
        assert len({each["name"] for each in entries}) == len(entries), name
        assert url in entries
        if name == "night-worker-cpu":
            assert {"name": "STEMLINE_METRICS_HOST", "value": "::"} in entries
    everywhere = render({**MINE, "settings": {**host, "STEMLINE_MAX_CONNECTIONS_PER_CLIENT": "9"}})
    assert deployments.keys() == of(everywhere, "Deployment").keys()
    for deployment in of(everywhere, "Deployment").values():
        names = {each["name"] for each in container(deployment)["env"]}
        assert not names & {"STEMLINE_METRICS_HOST", "STEMLINE_MAX_CONNECTIONS_PER_CLIENT"}


def test_an_empty_option_replaces_that_of_all_pods(render):
    """A component's own option counts where it is empty, zero or false, and where it is a map."""
    empty: dict[str, Any] = {
        "nodeSelector": {},
        "affinity": {},
        "annotations": {},
        "tolerations": [],
        "topologySpread": [],
    }
    empty |= {"priorityClassName": "", "runtimeClassName": "", "disruptionBudget": {"enabled": False}}
    other = {"nodeSelector": {"gpu": "yes"}, "annotations": {"own": "x"}}
    objects = render({**MINE, "pods": PODS, "api": {"pods": empty}, "workers": {"cpu": {"pods": other}}})
    spec = pod(objects, "night-api")["spec"]
    names = "nodeSelector affinity tolerations topologySpreadConstraints priorityClassName runtimeClassName"
    assert not spec.keys() & set(names.split())
    assert {"checksum/config"} == pod(objects, "night-api")["metadata"]["annotations"].keys()
    assert "night-api" not in of(objects, "PodDisruptionBudget")
    assert {"gpu": "yes"} == pod(objects, "night-worker-cpu")["spec"]["nodeSelector"]
    assert "example.com/team" not in pod(objects, "night-worker-cpu")["metadata"]["annotations"]
    assert "batch" == pod(objects, "night-beat")["spec"]["priorityClassName"]


def test_volumes_of_a_component_come_beside_those_of_all(render):
    """Own variables, mounts and volumes are added; one of the same name or path replaces the common one."""
    own = {
        "extraVolumes": [
            {"name": "weights", "emptyDir": {}},
            {"name": "ca", "configMap": {"name": "other-ca"}},
        ],
        "extraVolumeMounts": [
            {"name": "weights", "mountPath": "/models"},
            {"name": "weights", "mountPath": "/ca"},
        ],
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/other"}, {"name": "MORE", "value": "1"}],
    }
    deployments = of(render({**MINE, "pods": PODS, "workers": {"cpu": {"pods": own}}}), "Deployment")
    for name, deployment in deployments.items():
        spec, inside = deployment["spec"]["template"]["spec"], container(deployment)
        volumes = [volume["name"] for volume in spec["volumes"]]
        paths = [mount["mountPath"] for mount in inside["volumeMounts"]]
        names = [entry["name"] for entry in inside["env"]]
        assert {mount["name"] for mount in inside["volumeMounts"]} <= set(volumes), name
        for found in (volumes, paths, names):
            assert len(set(found)) == len(found), name
    worker = container(deployments["night-worker-cpu"])
    assert {"/models": "weights", "/ca": "weights"}.items() <= {
        mount["mountPath"]: mount["name"] for mount in worker["volumeMounts"]
    }.items()
    assert "/other" == {e["name"]: e.get("value") for e in worker["env"]}["SSL_CERT_FILE"]
    volumes = deployments["night-worker-cpu"]["spec"]["template"]["spec"]["volumes"]
    assert "other-ca" == {each["name"]: each for each in volumes}["ca"]["configMap"]["name"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pods": {"extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}]}}, 'mount "ca" at /ca'),
        (
            {"api": {"pods": {"extraVolumeMounts": [{"name": "scratch", "mountPath": "/x"}]}}},
            "pods of api mount",
        ),
        (
            {"workers": {"cpu": {"pods": {"extraVolumeMounts": [{"name": "models", "mountPath": "/m"}]}}}},
            "worker-cpu",
        ),
    ],
)
def test_a_mount_without_a_volume_is_refused(render, values: dict[str, Any], said: str):
    """Helm names the component and the mount for which there is no volume."""
    with pytest.raises(ValueError, match=said):
        render({**MINE, **values})


def test_the_pod_of_helm_test_is_let_in(render):
    """Where peers of the API are named, the pod of `helm test` is one of them; else all are."""
    peer = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    objects = render({**MINE, "networkPolicy": {"apiFrom": [peer]}})
    public, _ = of(objects, "NetworkPolicy")["night-api"]["spec"]["ingress"]
    assert peer in public["from"]
    labels = of(objects, "Pod")["night-test"]["metadata"]["labels"]
    assert any(
        each.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= labels.items()
        for each in public["from"]
    )
    assert [] == of(render(MINE), "NetworkPolicy")["night-api"]["spec"]["ingress"][0]["from"]


def test_the_port_of_the_collector_is_opened(render):
    """The port of each endpoint of traces, also of a pool, is open: as it names it, or that of its scheme."""
    endpoints: dict[str, Any] = {"settings": {"STEMLINE_OTLP_ENDPOINT": "http://user@collector:4444/otlp"}}
    endpoints["workers"] = {"cpu": {"settings": {"STEMLINE_OTLP_ENDPOINT": "https://traces.example.com"}}}
    assert {53, 6379, 4317, 4318, 4444, 443} == egress_ports(render({**MINE, **endpoints}))
