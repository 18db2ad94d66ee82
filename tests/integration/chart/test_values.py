"""The chart's values: which are refused, and what every choice of them renders."""

from __future__ import annotations

import re

import pytest
import yaml

import stemline
from tests.integration.chart.helm import (
    CHART,
    MATRIX,
    MINE,
    NIGHT,
    SECRETS,
    VERSIONS,
    check,
    container,
    merged,
    of,
)
from tools.docs import chart_settings


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
        {"settings": {"STEMLINE_REGIO": "ap-chongqing"}},
        {"settings": {"STEMLINE_SECRET_KEY": "of a client"}},
        {"workers": {"cpu": {"settings": {"STEMLINE_THREAD": "2"}}}},
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


def test_the_schema_has_the_names_of_all_settings():
    """values.schema.json is what `make docs` would write: a mistyped name is refused, a new one is not."""
    assert chart_settings.schema() == chart_settings.SCHEMA.read_text()


DECIDED = {
    "STEMLINE_METRICS_PORT": "metrics.port",
    "STEMLINE_WORKER_LEVELS": "workers.POOL.levels",
    "STEMLINE_WORKER_GRACE_S": "workers.POOL.graceSeconds",
    "STEMLINE_DEVICE": "workers.POOL.device",
    "STEMLINE_SCRATCH_BYTES": "workers.POOL.scratchSize",
}


@pytest.mark.parametrize("name", DECIDED)
def test_a_variable_that_an_option_decides_is_refused(render, name: str):
    """Helm names the option: the variable would have no effect."""
    with pytest.raises(ValueError, match=f"settings: {name} has no effect there; set {DECIDED[name]}"):
        render({**MINE, "settings": {name: "1"}})


@pytest.mark.parametrize("form", ["settings", "pods"])
def test_such_a_variable_of_a_pool_is_refused(render, form: str):
    """Among a pool's settings, and among the variables of its pods, it would be there twice."""
    name = "STEMLINE_DEVICE"
    given = {name: "1"} if form == "settings" else {"extraEnv": [{"name": name, "value": "1"}]}
    with pytest.raises(ValueError, match=f"worker-cpu: {name} has no effect there"):
        render({**MINE, "workers": {"cpu": {form: given}}})


def test_files_of_ones_own_replace_the_keys_of_the_secret(render):
    """With the setting of a file the Secret needs no key of that name, and a pod starts without it."""
    settings = {"settings": {"STEMLINE_CREDENTIALS_FILE": "/etc/own/credentials.json"}}
    values = {name: value for name, value in SECRETS.items() if name != "STEMLINE_CREDENTIALS"}
    for objects in (render({**settings, "secret": {"values": values}}), render({**MINE, **settings})):
        entries = {each["name"]: each for each in container(of(objects, "Deployment")["night-api"])["env"]}
        assert entries["STEMLINE_CREDENTIALS"]["valueFrom"]["secretKeyRef"]["optional"]
        assert "optional" not in entries["STEMLINE_BUCKETS"]["valueFrom"]["secretKeyRef"]
    with pytest.raises(ValueError, match=r"have no effect beside secret\.files"):
        render({**settings, "secret": {"existing": "mine", "files": "tenants"}})


def test_scaling_between_wrong_bounds_is_refused(render):
    """A pool whose least number of pods is above its greatest is refused by name."""
    with pytest.raises(ValueError, match=r"workers\.cpu\.scaling: min is greater than max"):
        render({**MINE, "workers": {"cpu": {"scaling": {"enabled": True, "min": 5, "max": 4}}}})


@pytest.mark.parametrize(
    ("release", "service"),
    [("my.app", "my-app-api"), ("9lives", "stemline-9lives-api"), ("a" * 53, f"{'a' * 40}-api")],
)
def test_names_fit_every_kind_of_object(helm, release: str, service: str):
    """A release may have any name that Helm allows; Services take neither dots nor digits in front.

    KEDA makes a label of a ScaledObject's name.
    """
    pool = merged(NIGHT, {"scaling": {"enabled": True}})
    pools = {"b" * 31 + letter: pool for letter in "cd"}
    done = helm("template", release, str(CHART), values={**MINE, "workers": pools})
    objects = [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]
    assert service in of(objects, "Service")
    assert 2 == len(of(objects, "ScaledObject"))
    for each in objects:
        name = each["metadata"]["name"]
        of_a_pool = "-worker-b" in name and each["kind"] != "ScaledObject"
        assert re.fullmatch(r"[a-z][-a-z0-9]*[a-z0-9]", name)
        assert len(name) <= (253 if of_a_pool else 63), each["kind"]
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())


def test_the_chart_has_the_version_of_the_package():
    """The chart refers to the images of this version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert stemline.__version__ == chart["version"] == chart["appVersion"]
