"""The description at ``/openapi.json`` is true: answers to generated requests match it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from stemline.api.app import RESOURCES
from stemline.api.openapi import OPERATIONS, document
from stemline.testing.api_server import ApiServer, finish
from stemline.testing.client import Client, exchange, submission
from tests.paths import REPOSITORY

ROUTES = [route for router in RESOURCES for route in router.routes]
DOCUMENT = document(ROUTES)
DOCUMENT["paths"] = {
    path: item
    for path, item in DOCUMENT["paths"].items()
    if any(operation["operationId"] in OPERATIONS for operation in item.values())
}
#: Run by a process of its own: what it generates takes seconds, already while it is collected.
GENERATED = "tests/integration/api/generated_requests.py"


def test_served(client: Client) -> None:
    """The description is served without a signature and is a valid OpenAPI 3.1 document of all routes."""
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    answer = exchange(client.port, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    served = json.loads(answer.body)
    assert "3.1.0" == served["openapi"]
    OPENAPI_31_VALIDATOR.validate(served)
    assert len(served["components"]["schemas"]) > 10
    for one in served["components"]["schemas"].values():
        meta.validate(one)
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(served)))
    assert references <= served["components"]["schemas"].keys()
    assert {"Job", "JobRequest"} <= references
    for path, item in served["paths"].items():
        for operation in item.values():
            parameters = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert set(re.findall(r"\{([^}]*)\}", path)) == parameters, path
    described = {operation["operationId"] for item in served["paths"].values() for operation in item.values()}
    assert set(OPERATIONS) <= described


@pytest.mark.slow
@pytest.mark.parametrize("long", ["", pytest.param("1", marks=pytest.mark.thorough)], ids=["few", "many"])
def test_generated_requests(long: str) -> None:
    """A request that fits the description is answered as described, in XML and in JSON, never with a 5xx."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov"]
    command += ["-p", "schemathesis.pytest.plugin", GENERATED]
    environment = {**os.environ, "LONG": long}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert 0 == done.returncode, done.stdout[-10_000:]
    assert re.search(r"\b[3-9]\d passed", done.stdout), done.stdout


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


@pytest.mark.shows(
    "Workflow, CosHeaders, SpriteOutputFile",
    "Duration, FormatLongName, FormatName, NumProgram, NumStream, Size",
    "Index, CodecName, CodecLongName, CodecTimeBase, CodecTagString, CodecTag",
    "SampleFmt, SampleRate, Channel, ChannelLayout, Timebase, Language",
)
def test_job_answers_have_no_other_fields(server: ApiServer) -> None:
    """A finished job shows only fields that the description knows, and fits it."""
    client = server.client
    job = client.post("/jobs", submission(operation="<UserData>u</UserData>")).text("JobsDetail/JobId") or ""
    finish(server.store, job)
    answer = client.request("GET", f"/jobs/{job}", headers={"Accept": "application/json"})
    detail = json.loads(answer.body)["JobsDetail"][0]
    validator("Job").validate(detail)
    unknown = list(beyond(detail, DOCUMENT["components"]["schemas"]["Job"]))
    assert [] == unknown


def beyond(value: Any, described: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of fields that a schema does not name."""
    if "$ref" in described:
        described = DOCUMENT["components"]["schemas"][described["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        for item in value:
            yield from beyond(item, described["items"], path)
    elif isinstance(value, dict):
        for name, content in value.items():
            if name in described["properties"]:
                yield from beyond(content, described["properties"][name], f"{path}/{name}")
            else:
                yield f"{path}/{name}"
