from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
import json, os, signal
from prometheus_client import CollectorRegistry
from stemline.runtime.compat import prometheus
from stemline.workers import metrics

folder = prometheus.share_values()
numbers = metrics.WorkerMetrics()

def told():
    registry = CollectorRegistry()
    prometheus.SharedValues(registry, folder)
    return {
        name: registry.get_sample_value(name, labels)
        for name, labels in (
            ("stemline_attempts_total", {"ending": "success", "code": ""}),
            ("stemline_attempts_running", {}),
            ("stemline_callback_attempts_total", {"way": "url", "answer": "5xx", "outcome": "pending"}),
        )
    }

numbers.begin()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    numbers.attempt_ended("Success", 1.0)
    numbers.running.inc()
    numbers.callback_tried("url", "503", "pending", 0.1)
    os.write(writing, b"x")
    signal.pause()
os.read(reading, 1)
alive = told()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(json.dumps({"alive": alive, "dead": told(), "folder": folder}))
"""


def run(script: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_what_a_dead_child_did_is_still_told():
    """Counts of a killed child stay; what it was doing ends with it; the folder goes with the parent."""
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


def test_answers_that_receivers_invent_are_odd():
    """Whatever a receiver or broker answers, the label is a class, a known kind of word, or `odd`."""
    script = """
    import json
    from stemline.workers.metrics import WorkerMetrics
    metrics = WorkerMetrics()
    for status in ("200", "999", "12", "timeout", "cmq-4000", "X" * 50, "ü", "no-endpoint", ""):
        metrics.callback_tried("url", status, "pending", 0.1)
    samples = [s for m in metrics.callbacks.collect() for s in m.samples if s.name.endswith("_total")]
    print(json.dumps({s.labels["answer"]: s.value for s in samples}))
    """
    expected = {"2xx": 1, "9xx": 1, "odd": 4, "timeout": 1, "cmq": 1, "no-endpoint": 1}
    assert expected == run(script)
