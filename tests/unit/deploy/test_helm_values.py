"""The chart's values: which are refused, and what every choice of them renders."""

from __future__ import annotations

import re

import pytest
import yaml

import stemline
from tests.unit.deploy.helm import (
    CHART,
    MATRIX,
    MINE,
    NIGHT,
    SECRETS,
    VERSIONS,
    check,
    merged,
    of,
)


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
