"""Every operation of the API while the store's server refuses, from each of its commands on."""

from __future__ import annotations

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import submission
from stemline.testing.resp_proxy import ABORT, RespProxy
from tests.security.test_tenants import READS, requests, send

READONLY = "READONLY an injected error"
#: What is refused for its fields first, or asks buckets alone.
WITHOUT_STORE = {"console_check", "create_upload", "resume_upload", "complete_upload", "abort_upload"}

MAX_COMMANDS = 12
"""Of one request: one that reads many keys of a kind does so with one call of the store."""


@pytest.mark.parametrize(
    "reply",
    [READONLY, *(pytest.param(each, marks=pytest.mark.thorough) for each in ("OOM x", "ERR x", ABORT))],
)
def test_no_operation_ends_in_an_internal_error(
    reply: str, valkey_server: ValkeyServer, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in a request it begins, the answer is 503 SlowDown, or what it is without the fault."""
    monkeypatch.setattr("redis.retry.sleep", lambda seconds: None)  # as many attempts, without their pauses
    with RespProxy(valkey_server.port) as proxy, ApiServer(api_settings(redis_url=proxy.url)) as server:
        job = server.client.post("/jobs", submission()).text("JobsDetail/JobId")
        paths = {*READS, f"/jobs/{job}"} - {"/events"}
        operations = {**requests(server), **{path: ("GET", path, None) for path in paths}}
        slowed = set()
        for name, (method, path, fields) in operations.items():
            for after in range(MAX_COMMANDS):
                with proxy.refuse(reply, after=after):
                    answer = send(server.client, method, path, fields or {}, "json")
                assert answer.status < 500 or (503, "SlowDown") == (answer.status, answer.code), (name, after)
                if answer.status == 503:
                    slowed.add(name)
                if not proxy.refused:
                    break
    assert set(operations) - slowed <= WITHOUT_STORE
