"""Requests generated from the description at ``/openapi.json``; `test_openapi.py` runs them by a process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import HOST
from tests.integration.api.test_openapi import DOCUMENT
from tests.support.rounds import rounds

#: A stream has no end to compare.
FINITE = {
    path: item
    for path, item in DOCUMENT["paths"].items()
    if not any("text/event-stream" in str(operation["responses"]) for operation in item.values())
}
schema = schemathesis.openapi.from_dict({**DOCUMENT, "paths": FINITE})
#: The bounds of every value, one by one: three thousand requests.
schema.config.phases.coverage.enabled = rounds(short=False, long=True)

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


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=rounds(4, 12),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_generated_requests(case: schemathesis.Case, open_server: ApiServer) -> None:
    """A request that fits the description is answered as described, in XML and in JSON, never with a 5xx."""
    headers = {"Host": HOST, "Accept": next(FORMS)}
    case.call_and_validate(base_url=f"http://127.0.0.1:{open_server.port}", headers=headers, checks=HELD)
