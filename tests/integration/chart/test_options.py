"""Every option of the chart by itself, and two releases beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.integration.chart.helm import CHART, MINE, PODS, merged, of

#: With these values each option has an effect.
BASE: dict[str, Any] = {
    **MINE,
    "workers": {name: {"enabled": True, "scaling": {"enabled": True}} for name in ("cpu", "gpu")},
    "metrics": {"podMonitor": True, "rules": True, "dashboard": True, "tokenSecret": "token"},
    "api": {"ingress": {"enabled": True, "hosts": ["a.example.com"]}},
    "networkPolicy": {"otlp": True},
}
#: A value for what the schema only says to be a list, a map or a text.
SAMPLES: dict[str, Any] = {
    "apiFrom": [{"podSelector": {}}],
    "flowerFrom": [{"podSelector": {}}],
    "metricsFrom": [{"podSelector": {}}],
    "extraEgress": [{"ports": [{"port": 7777}]}],
    "hosts": ["b.example.com"],
    "interval": "7s",
    "levels": [1],
    "paths": ["/jobs"],
    "prometheusUrl": "http://elsewhere",
    "pullSecrets": ["pull"],
    "registry": "registry.example.com/",
    "resources": {"limits": {"cpu": "9"}},
    "scratchSize": "99Gi",
    "tolerations": PODS["tolerations"],
    "values": {"STEMLINE_METRICS_TOKEN": "t"},
}
#: What decides nothing in BASE, where both pools are scaled.
WITHOUT_EFFECT = {"workers": {"workers.cpu.replicas", "workers.gpu.replicas"}}
#: A mount needs a volume of its name.
POD_SAMPLES = {**PODS, "extraVolumeMounts": [{"name": "tmp", "mountPath": "/elsewhere"}]}


def options_of_pods(known: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the path of each option of pods, with the value to be tried."""
    for option in known:
        if option != "disruptionBudget":
            yield (*path, option), POD_SAMPLES[option]
    values = {"enabled": False, "maxUnavailable": 2, "minAvailable": 1}
    budget = {**values, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    assert budget.keys() == known["disruptionBudget"]["properties"].keys()
    yield from (((*path, "disruptionBudget", field), value) for field, value in budget.items())


def options(schema: Mapping[str, Any], part: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the path of each option below a part of the schema, with each value to be tried."""
    name = part.get("$ref", "").rpartition("/")[2]
    if name in {"pods", "podsOfOne"}:
        yield from options_of_pods(schema["definitions"]["pods"]["properties"], path)
    elif name == "settings":
        yield (*path, "STEMLINE_THREADS"), "3"
    elif name == "texts":
        yield (*path, "key"), "text"
    elif name:
        yield from options(schema, schema["definitions"][name], path)
    elif "properties" in part:
        for option, inner in part["properties"].items():
            yield from options(schema, inner, (*path, option))
    elif "enum" in part:
        yield from ((path, value) for value in part["enum"])
    elif path[-1] in SAMPLES:
        yield path, SAMPLES[path[-1]]
    else:
        kinds: dict[str, list[Any]] = {
            "boolean": [True, False],
            "integer": [3],
            "string": ["x"],
            "array": [[7777]],
        }
        yield from ((path, value) for value in kinds[part.get("type", "integer")])


def placed(path: tuple[str, ...], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values


SECTIONS = "image settings secret serviceAccount pods api workers callbacks beat flower metrics networkPolicy"


@pytest.mark.thorough
@pytest.mark.parametrize("section", SECTIONS.split())
def test_every_option_has_an_effect_or_is_refused(section: str, schema, values, render):
    """Each option of the schema, changed alone, changes what is rendered, unless Helm refuses it."""
    assert set(SECTIONS.split()) == schema["properties"].keys() - {"global"}
    full, plain = merged(values, BASE), render(BASE)
    part = schema["properties"][section]
    if section == "workers":
        part = {"properties": dict.fromkeys(BASE["workers"], part["additionalProperties"])}
    found = list(options(schema, part, (section,)))
    idle = set()
    for path, value in found:
        if at(full, path) == value:
            continue
        try:
            changed = render(merged(BASE, placed(path, value))) != plain
        except ValueError:
            changed = True  # refused
        if not changed:
            idle.add(".".join(path))
    assert found
    assert WITHOUT_EFFECT.get(section, set()) == idle


@pytest.mark.parametrize("component", ["beat", "flower"])
def test_a_disruption_budget_of_one_pod_is_refused(component: str, render):
    """Beat and Flower have one pod and no budget, so options of it would have no effect."""
    with pytest.raises(ValueError, match=f"at '/{component}/pods/disruptionBudget'"):
        render({**MINE, component: {"pods": {"disruptionBudget": {"maxUnavailable": 2}}}})


def test_options_of_the_pods_of_a_pool_count_before_those_of_the_pool(render):
    """Tolerations and node selectors: those of its `pods`, also empty, else its own, else those of all."""
    common = {"nodeSelector": {"a": "all"}, "tolerations": [{"key": "all"}]}
    own = {"nodeSelector": {"b": "own"}, "tolerations": [{"key": "own"}]}
    pods = {"nodeSelector": {"c": "pods"}, "tolerations": [{"key": "pods"}]}
    pools: dict[str, Any] = {"cpu": {}, "gpu": {"enabled": True}}
    gpu = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]

    def found(pool: str, **options: Any) -> tuple[Any, Any]:
        objects = render({**MINE, "pods": common, "workers": merged(pools, {pool: options})})
        spec = of(objects, "Deployment")[f"night-worker-{pool}"]["spec"]["template"]["spec"]
        return spec.get("nodeSelector"), spec.get("tolerations")

    assert ({"a": "all"}, [{"key": "all"}]) == found("cpu")
    assert ({"b": "own"}, [{"key": "own"}]) == found("cpu", **own)
    assert ({"c": "pods"}, [{"key": "pods"}]) == found("cpu", **own, pods=pods)
    assert (None, None) == found("gpu", pods={"nodeSelector": {}, "tolerations": []})
    assert ({"a": "all"}, gpu) == found("gpu")


def selectors(value: Any) -> Iterator[Mapping[str, str]]:
    """Yield the labels of every selector in an object."""
    if isinstance(value, list):
        for each in value:
            yield from selectors(each)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "matchLabels":
                yield inner
            else:
                yield from selectors(inner)


def test_two_releases_leave_each_other_alone(helm):
    """Two releases in a namespace share no name, and no selector of one takes a pod of the other."""
    releases = []
    for name in ("night", "day"):
        done = helm("template", name, str(CHART), "--namespace", "media", values=BASE)
        releases.append([each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each])
    one, other = releases
    names = [{(each["kind"], each["metadata"]["name"]) for each in release} for release in releases]
    assert not names[0] & names[1]
    pods = [
        each["metadata"]["labels"]
        if each["kind"] == "Pod"
        else each["spec"]["template"]["metadata"]["labels"]
        for each in other
        if each["kind"] in {"Deployment", "Pod"}
    ]
    found = [labels for each in one for labels in selectors(each)]
    found += [each["spec"]["selector"] for each in of(one, "Service").values()]
    assert len(found) > 20
    assert len(pods) > 5
    assert [] == [labels for labels in found for pod in pods if labels.items() <= pod.items()]
    for scaled in of(one, "ScaledObject").values():
        query = scaled["spec"]["triggers"][0]["metadata"]["query"]
        assert query.count('namespace="media",installation="night"') == 2
