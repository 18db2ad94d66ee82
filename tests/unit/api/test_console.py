"""The console's files, and the servers that its page may reach."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.console.pages import MAX_STORES, console, security_headers, static_files
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets


def test_the_page_may_reach_every_store(tmp_path):
    """Stores of the settings and of the file are sources of media; a region in a host becomes a wildcard."""
    file = tmp_path / "buckets.json"
    file.write_text(
        json.dumps(
            {
                "a-1": {"endpoint_url": "https://cos.{region}.example.com/s3"},
                "b-1": {"access_key": "k", "secret_key": "s"},
            }
        )
    )
    own = {"*": BucketAccess(endpoint_url="http://127.0.0.1:8333")}
    policy = security_headers(Buckets(Settings(buckets_file=file, buckets=own)))["Content-Security-Policy"]
    stores = "'self' http://127.0.0.1:8333 https://*.amazonaws.com https://*.example.com"
    assert f"connect-src {stores};" in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


def test_the_first_view_is_small():
    """What the browser loads before the list of jobs appears stays below 150 kB, not compressed."""
    page = static_files()["index.html"].content.decode()
    first = [name.split('"')[0] for name in page.split("/console/static/")[1:]]
    assert "app.js" in first
    assert "app.css" in first
    assert sum(len(static_files()[name].content) for name in first) < 150_000


def answer(**headers: str) -> Response:
    """What a client with these headers gets for the page."""
    scope = {
        "type": "http",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "app": SimpleNamespace(state=SimpleNamespace(services=SimpleNamespace(buckets=Buckets(Settings())))),
    }
    return console(Request(scope))


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("x-gzip, br", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000 , deflate", False),
        ("notgzip, identity", False),
        ("", False),
    ],
)
def test_files_are_compressed_for_whoever_accepts_it(accepted: str, is_compressed: bool) -> None:
    """A weight of 0 refuses a coding, however it is written."""
    sent = answer(accept_encoding=accepted)
    assert is_compressed == ("content-encoding" in sent.headers)
    content = gzip.decompress(bytes(sent.body)) if is_compressed else bytes(sent.body)
    assert static_files()["index.html"].content == content


@pytest.mark.parametrize(
    ("known", "status"), [("*", 304), ('"a", ETAG', 304), ("W/ETAG", 304), ('"a"', 200), ("", 200)]
)
def test_a_file_that_is_known_is_not_sent_again(known: str, status: int) -> None:
    """One of several tags is enough, and a star is any."""
    etag = static_files()["index.html"].etag
    assert status == answer(if_none_match=known.replace("ETAG", etag)).status_code


def test_the_policy_of_a_page_stays_short_with_a_store_for_each_tenant():
    """Beyond some stores it names schemes instead: long headers are refused by proxies."""

    def policy(stores: int) -> str:
        entries = {
            f"tenant-{n}": BucketAccess(endpoint_url=f"https://s3.tenant-{n}.example") for n in range(stores)
        }
        return security_headers(Buckets(Settings(buckets=entries)))["Content-Security-Policy"]

    assert MAX_STORES == policy(MAX_STORES).count("https://s3.tenant-")
    assert "connect-src 'self' https:;" in policy(1000)
