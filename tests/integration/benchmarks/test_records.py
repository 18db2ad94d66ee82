"""The benchmark of many records, on few."""

from __future__ import annotations

import redis

from benchmarks.records import measure
from benchmarks.report import Report
from stemline.deploy.local.servers import ValkeyServer


def test_it_fills_a_store_and_measures_it(valkey: redis.Redis, valkey_server: ValkeyServer):
    """It creates records with today's store, prunes those that ended, and leaves a figure of each kind."""
    report = Report("records", "few records", [])

    measure(report, valkey_server.url, tenants=4, count=24, ended=12)

    assert set(report.figures) == {"claim", "list", "metrics", "prune", "prune_batch", "memory"}
    assert report.figures["prune"].label == "prune 12 in batches of 200"
    assert len(valkey.keys("stemline:job:*")) == 12
