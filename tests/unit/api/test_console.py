"""The console may reach the stores of all configured buckets, and nothing else."""

from __future__ import annotations

import json

from stemline.api.console import _security_headers
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets


def test_the_page_may_reach_every_store(tmp_path):
    """Stores of the settings and of the file are sources of media; a region in a host becomes a wildcard."""
    file = tmp_path / "buckets.json"
    file.write_text(
        json.dumps(
            {"a-1": {"endpoint_url": "https://cos.{region}.example.com/s3"}, "b-1": {"access_key": "k"}}
        )
    )
    own = {"*": BucketAccess(endpoint_url="http://127.0.0.1:8333")}
    policy = _security_headers(Buckets(Settings(buckets_file=file, buckets=own)))["Content-Security-Policy"]
    stores = "'self' http://127.0.0.1:8333 https://*.amazonaws.com https://*.example.com"
    assert f"connect-src {stores}; media-src {stores};" in policy
    assert policy.startswith("default-src 'none'")
