"""kubectl and Kustomize on what the chart renders."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import yaml

from tests.integration.chart.helm import (
    container,
    of,
)


def test_kubectl_reads_every_deployment(everything, kubectl, tmp_path: Path):
    """kubectl decodes Deployments into its own types; a value of the wrong type is an error."""
    path = tmp_path / "objects.json"
    deployments = copy.deepcopy(list(of(everything, "Deployment").values()))
    assert deployments
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
