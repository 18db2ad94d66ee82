"""The metrics of a worker and its children."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from stemline.runtime.store_metrics import StoreCollector
from stemline.testing.in_memory_store import InMemoryStore
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import AttemptResult, Outcome

SCRIPT = """
import json, os, signal
from prometheus_client import CollectorRegistry
from stemline.runtime.compat import prometheus
from stemline.workers import metrics
from stemline.workers.outcome import AttemptResult, Outcome

folder = prometheus.share_values()
numbers = metrics.WorkerMetrics()

def values():
    registry = CollectorRegistry()
    prometheus.SharedValues(registry, folder)
    return {
        name: registry.get_sample_value(name, labels)
        for name, labels in (
            ("stemline_attempts_total", {"outcome": "success", "code": ""}),
            ("stemline_attempts_running", {}),
            ("stemline_callback_attempts_total", {"type": "url", "status": "5xx", "state": "pending"}),
        )
    }

numbers.begin()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    numbers.attempt_ended(AttemptResult(Outcome.SUCCESS), 1.0)
    numbers.running.inc()
    numbers.callback_attempted("url", "503", "pending", 0.1)
    os.write(writing, b"x")
    signal.pause()
os.read(reading, 1)
alive = values()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(json.dumps({"alive": alive, "dead": values(), "folder": folder}))
"""


def totals(counter: Counter) -> list[Sample]:
    """The samples of a counter, without those of its creation time."""
    return [s for metric in counter.collect() for s in metric.samples if s.name.endswith("_total")]


def run(script: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_the_counts_of_a_dead_child_are_kept():
    """Counters of a killed child stay, its live gauges go, and the folder is removed with the parent."""
    found = run(SCRIPT)
    did = {
        "stemline_attempts_total": 1,
        "stemline_callback_attempts_total": 1,
    }
    assert {**did, "stemline_attempts_running": 1} == found["alive"]
    gone = found["dead"].pop("stemline_attempts_running")
    assert did == found["dead"]
    assert not gone
    assert not Path(found["folder"]).exists()


def test_receivers_cannot_create_labels():
    """For any status the label is a class of HTTP statuses, a known kind of word, or `other`."""
    metrics = WorkerMetrics()
    for status in ("200", "999", "12", "timeout", "cmq-4000", "X" * 50, "ü", "no-endpoint", ""):
        metrics.callback_attempted("url", status, "pending", 0.1)
    expected = {"2xx": 1, "9xx": 1, "other": 4, "timeout": 1, "cmq": 1, "no-endpoint": 1}
    assert expected == {s.labels["status"]: s.value for s in totals(metrics.callbacks)}


def test_no_two_metrics_have_one_name():
    """What a worker counts and what is read from the store have names of their own: nobody adds both up."""
    store = InMemoryStore()
    of_store = {metric.name for metric in StoreCollector(store.statistics, max_queues=1).read_now()}
    of_worker = {
        metric.name
        for one in vars(WorkerMetrics()).values()
        if isinstance(one, MetricWrapperBase)
        for metric in one.collect()
    }
    assert len(of_store) > 20
    assert len(of_worker) > 10
    assert set() == of_store & of_worker


def test_a_failure_is_counted_by_its_code():
    """An attempt is counted by its outcome and the code of its failure, as they are in the result."""
    metrics = WorkerMetrics()
    metrics.attempt_ended(AttemptResult(Outcome.FAILED, "ResourceNotFound", "Failed: of course"), 1.0)
    metrics.attempt_ended(AttemptResult(Outcome.POSTPONED, "WeightsUnavailable", "later"), 1.0)
    expected = {("failed", "ResourceNotFound"): 1, ("postponed", "WeightsUnavailable"): 1}
    assert expected == {(s.labels["outcome"], s.labels["code"]): s.value for s in totals(metrics.attempts)}
