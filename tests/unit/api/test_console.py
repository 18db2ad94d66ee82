"""The console's files, and the servers that its page may reach."""

from __future__ import annotations

import json

from stemline.api.console.pages import security_headers, static_files
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
