"""The description at ``/openapi.json`` is true: answers to generated requests match it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema_rs import Draft202012Validator, meta
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from stemline.api.app import RESOURCES
from stemline.api.openapi import OPERATIONS, document
from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings, finish
from stemline.testing.client import HOST, Client, exchange, submission

ROUTES = [route for router in RESOURCES for route in router.routes]
DOCUMENT = document(ROUTES)  # type: ignore[arg-type]
DOCUMENT["paths"] = {
    path: item
    for path, item in DOCUMENT["paths"].items()
    if any(operation["operationId"] in OPERATIONS for operation in item.values())
}
#: A stream has no end to compare.
FINITE = {
    path: item
    for path, item in DOCUMENT["paths"].items()
    if not any("text/event-stream" in str(operation["responses"]) for operation in item.values())
}
schema = schemathesis.openapi.from_dict({**DOCUMENT, "paths": FINITE})

load_all_checks()
#: Not among them: whether every request that fits the schema is accepted (it may name what does not exist),
#: and whether every other one is refused (unknown elements are ignored, as clients need it).
HELD: list[Any] = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]


#: The form of each answer that is asked for, by turns.
FORMS = itertools.cycle(["application/json", "application/xml"])


@pytest.fixture(scope="module")
def open_server(valkey_server: ValkeyServer) -> Iterator[ApiServer]:
    """A server that needs no signature, which generated requests do not have."""
    with ApiServer(api_settings(redis_url=valkey_server.url, anonymous_access=True)) as server:
        yield server


def test_served(client: Client) -> None:
    """The description is served without a signature and is a valid OpenAPI 3.1 document of all routes."""
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
    described = {operation["operationId"] for item in served["paths"].values() for operation in item.values()}
    assert set(OPERATIONS) <= described


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_generated_requests(case: schemathesis.Case, open_server: ApiServer) -> None:
    """A request that fits the description is answered as described, in XML and in JSON, never with a 5xx."""
    headers = {"Host": HOST, "Accept": next(FORMS)}
    case.call_and_validate(base_url=f"http://127.0.0.1:{open_server.port}", headers=headers, checks=HELD)


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
