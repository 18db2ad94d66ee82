"""Hostile requests with valid signatures: bodies, queries, ids and paths that cost time or mislead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import CREDENTIAL, ApiServer, api_settings
from stemline.testing.client import Answer, exchange
from tests.security.test_signatures import request

MB = 1 << 20
#: Long for a busy machine; each takes a quarter of a second at most.
LONGEST_S = 120


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API server with a store in memory."""
    settings = api_settings(credentials=(CREDENTIAL,))
    with ApiServer(settings, InMemoryStore(store_options(settings))) as server:
        yield server


def code(answer: Answer) -> str:
    """The code of an error, whether it is XML or JSON."""
    if answer.body[:1] == b"{":
        return str(json.loads(answer.body).get("Error", json.loads(answer.body)).get("Code", ""))
    return answer.code


def numbered(form: bytes, count: int) -> bytes:
    return b" ".join(form.replace(b"#", b"%d" % number) for number in range(count))


JSON = {"content-type": "application/json"}
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "JSON lists in lists": (b"[" * (MB // 2) + b"]" * (MB // 2), JSON),
    "JSON objects in objects": (b'{"a":' * (MB // 6), JSON),
    "a JSON number of a million digits": (b'{"Tag":' + b"9" * (MB - 10) + b"}", JSON),
    "JSON numbers beyond all bounds": (b'{"Tag":1e999999,"Input":NaN}', JSON),
    "80,000 JSON keys": (b"{" + numbered(b'"k#":1,', 80_000)[:-1] + b"}", JSON),
    "a lone surrogate in JSON": (b'{"Tag":"\\ud800"}', JSON),
    "JSON in UTF-16": ('{"Tag":"VoiceSeparate"}'.encode("utf-16"), JSON),
    "XML elements in elements": (b"<a>" * (MB // 8) + b"</a>" * (MB // 8), {}),
    "80,000 attributes": (b"<Request " + numbered(b'a#="1"', 80_000) + b"/>", {}),
    "the same attribute": (b"<Request " + b'a="1" ' * 80_000 + b"/>", {}),
    "40,000 namespaces": (b"<Request " + numbered(b'xmlns:a#="u#"', 40_000) + b"/>", {}),
    "200,000 elements": (b"<Request>" + b"<a/>" * 200_000 + b"</Request>", {}),
    "170,000 character references": (b"<Request><Tag>" + b"&#97;" * 170_000 + b"</Tag></Request>", {}),
    "comments": (b"<Request>" + b"<!---->" * (MB // 8) + b"</Request>", {}),
    "processing instructions": (b"<Request>" + b"<?a?>" * (MB // 6) + b"</Request>", {}),
    "CDATA sections": (b"<Request><Tag>" + b"<![CDATA[a]]>" * (MB // 14) + b"</Tag></Request>", {}),
    "another encoding": (b'<?xml version="1.0" encoding="utf-7"?><Request/>', {}),
    "another encoding behind the mark of UTF-8": (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-16"?><Request/>',
        {},
    ),
    "XInclude": (
        (
            b'<Request xmlns:x="http://www.w3.org/2001/XInclude"><Tag>'
            b'<x:include href="file:///etc/passwd" parse="text"/></Tag></Request>'
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str, server: ApiServer) -> None:
    """A body of any shape within the limit of bytes is refused as what it is, soon, and changes nothing."""
    body, headers = BODIES[name]
    began = time.monotonic()
    answer = exchange(server.port, request(body=body, headers=headers))
    assert 400 == answer.status
    assert code(answer) in {"InvalidContent", "InvalidArgument", "MissingContent"}
    assert b"root:" not in answer.body
    assert time.monotonic() - began < LONGEST_S
    assert 200 == exchange(server.port, get("/queue")).status


def get(target: str, **changes: Any) -> bytes:
    return request(method="GET", target=target, body=b"", headers={}, **changes)


LISTS = "/jobs?tag=VoiceSeparate"
TARGETS = {
    "201 parameters": ("/jobs?" + "&".join(f"a{number}=1" for number in range(201)), 400),
    "a size of many digits": (f"{LISTS}&size={'9' * 5000}", 400),
    "a size in other digits": (f"{LISTS}&size=%D9%A1", 400),
    "a long cursor": (f"{LISTS}&nextToken={'A' * 20_000}", 400),
    "a cursor of bytes": (f"{LISTS}&nextToken=%00%ff", 400),
    "a cursor that is a path": (f"{LISTS}&nextToken=..%2F..%2Fx", 400),
    "an impossible time": (f"{LISTS}&startCreationTime=9999-99-99T99%3A99%3A99%2B9999", 400),
    "a time of many digits": (f"{LISTS}&startCreationTime={'1' * 9000}", 400),
    "an unknown queue with a long name": (f"{LISTS}&queueId={'p' * 20_000}", 200),
    "an unknown job with a long name": (f"/jobs/{'j' * 20_000}", 200),
    "two slashes": ("//jobs/j1", 404),
    "a path with dots": ("/jobs/../jobs/j1", 404),
    "a path with encoded dots": ("/jobs/%2e%2e/queue", 404),
    "another case": ("/JOBS/j1", 404),
    "a parameter of the path": ("/jobs;a=b", 404),
    "metrics": ("/metrics", 404),
    "metrics, encoded": ("/%6detrics", 404),
    "metrics with a slash": ("/metrics/", 404),
    "metrics behind a semicolon": ("/;/metrics", 404),
    "readiness": ("/readyz", 404),
    "a file beside the console": ("/console/../app.py", 404),
    "a file beside the console, encoded": ("/console/%2e%2e%2fapp.py", 404),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(name: str, server: ApiServer) -> None:
    """Queries, cursors, ids and paths of any length and spelling are refused or find nothing."""
    target, status = TARGETS[name]
    answer = exchange(server.port, get(target))
    assert status == answer.status
    assert "JobsDetail" not in answer.body.decode() or "<JobId>" not in answer.body.decode()


@pytest.mark.parametrize(
    ("raw", "status", "connection"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 200, "keep-alive"),
        (
            b"POST /jobs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
            400,
            "keep-alive",
        ),
        (
            b"GET /queue HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            "keep-alive",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "close"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "keep-alive"),
        (b"TRACE /jobs HTTP/1.1\r\nHost: x\r\n\r\n", 405, "keep-alive"),
        (b"GET /queue HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "keep-alive"),
        (b"GET http://other/queue HTTP/1.1\r\nHost: x\r\n\r\n", 400, "keep-alive"),
        (b"GET http://a@x/queue HTTP/1.1\r\nHost: x\r\n\r\n", 400, "close"),
    ],
)
def test_odd_requests(server: ApiServer, raw: bytes, status: int, connection: str) -> None:
    """Expectations without a body, upgrades, other versions, hosts and methods have one clear answer."""
    answer = exchange(server.port, raw)
    assert status == answer.status
    assert connection == answer.headers["connection"]
    assert answer.body.count(b"<Error>") + answer.body.count(b'"ok"') == 1
