"""Traces of a job through the real processes, as a collector receives them."""

from __future__ import annotations

from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import annotate, create_tracer, traceparent
from stemline.testing.processes import eventually, program
from tests.integration.observe.conftest import SECRETS, TRACE


def test_one_trace_from_submission_to_callback(service):
    """The client's trace holds submit, wait, attempt with its parts, and every try of the callback."""
    names = {"submit", "wait", "attempt", "download", "separate", "upload", "deliver"}
    eventually(lambda: names <= service.collector.of(TRACE).keys(), 180, "all spans")
    spans = service.collector.of(TRACE)
    assert names == spans.keys()
    submit, attempt = spans["submit"], spans["attempt"]
    assert "1" * 16 == submit.parent
    for name in ("wait", "attempt", "deliver"):
        assert submit.id == spans[name].parent, name
    for name in ("download", "separate", "upload"):
        assert attempt.id == spans[name].parent, name
        assert attempt.begin <= spans[name].begin <= spans[name].end <= attempt.end
    assert {"stemline-api", "stemline-worker", "stemline-callbacks"} == {s.service for s in spans.values()}
    assert submit.begin <= spans["wait"].begin <= spans["wait"].end <= attempt.end <= spans["deliver"].end
    job = service.jobs["success"]
    assert (job.id, "success") == (attempt.attributes["stemline.job"], attempt.attributes["stemline.outcome"])

    def deliveries() -> list:
        return [s for s in service.collector.spans if s.trace == TRACE and s.name == "deliver"]

    attempts = eventually(lambda: deliveries() if len(deliveries()) == 2 else [], 180, "both attempts")
    attempts.sort(key=lambda span: span.begin)
    assert ["503", "200"] == [span.attributes["stemline.status"] for span in attempts]


def test_the_receiver_gets_the_trace(service):
    """A Url callback carries the traceparent of its own try, so the receiver can go on with the trace."""
    parents = [request.headers["traceparent"] for request in service.receiver.received]
    assert {TRACE} == {value[3:35] for value in parents[:2]}
    tries = {value[36:52] for value in parents[:2]}
    eventually(
        lambda: tries <= {s.id for s in service.collector.spans if s.name == "deliver"}, 180, "the tries"
    )


def test_a_job_without_a_trace_gets_one(service):
    """A submission that names no trace begins one of its own."""
    own = service.jobs["failure"].spec.trace[3:35]
    assert own
    assert own != TRACE
    eventually(
        lambda: {"attempt", "download", "submit"} <= service.collector.of(own).keys(), 180, "its spans"
    )
    failed = service.collector.of(own)
    assert "SourceNotFound" == failed["download"].error
    assert "" == failed["submit"].parent


def test_logs_tell_the_trace(service):
    """A worker's lines about a job carry the id by which its trace is found."""
    for process in ("worker", "callbacks"):
        assert f'"trace": "{TRACE}"' in service.programs[process].text()


def test_no_secret_in_a_trace(service):
    """No span carries a secret or what the client sent along."""
    text = repr(service.collector.spans)
    assert not [what for what, secret in SECRETS.items() if secret in text]


def test_without_a_collector_a_traceparent_passes_through():
    """Without a collector spans record nothing, and a client's traceparent stays as it is."""
    tracer = create_tracer(Settings(), "stemline-test")
    parent = f"00-{TRACE}-{'1' * 16}-01"
    with tracer.span("submit", parent, jobs=1) as span:
        annotate(span, more=1)
        assert parent == traceparent(span)
        with tracer.span("part") as part:
            assert parent == traceparent(part)
    with tracer.span("submit", "") as span:
        assert not traceparent(span)
    tracer.record("wait", "", 1, 2)
    tracer.flush()


def test_missing_packages_stop_the_start(service, tmp_path):
    """A collector is set but its packages are not installed: the process says what to install, and ends."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.startswith('opentelemetry.exporter'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    env = {**service.env, "PYTHONPATH": str(tmp_path)}
    for words in (["api"], ["worker", "callbacks"]):
        with program(tmp_path / f"{words[0]}.log", env, "-m", "stemline", *words) as refused:
            assert 1 == refused.process.wait(60)
        assert "add the extra otel" in refused.text()
        assert "Traceback" not in refused.text()


def test_wrong_parents_begin_a_new_trace(service):
    """What is no traceparent is ignored."""
    port = service.collector.port
    tracer = create_tracer(Settings(otlp_endpoint=f"http://127.0.0.1:{port}"), "stemline-test")
    with tracer.span("submit", "00-" + "0" * 32 + "-" + "0" * 16 + "-01") as span:
        parent = traceparent(span)
        assert "0" * 32 != parent[3:35]
    tracer.flush()
    eventually(lambda: service.collector.of(parent[3:35]), 180, "the span")
