"""What API and workers report to Prometheus after they have processed a job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import QueueFilter, Store
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import Worker
from stemline.runtime import store_metrics
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.runtime.store_metrics import OTHER, StoreCollector
from stemline.testing.processes import eventually, program
from tests.conftest import free_port
from tests.integration.deploy.test_alerts import everything, expressions
from tests.integration.observe.conftest import answers


class Page:
    """A scraped page."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name and those labels."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, name
        return sum(found)


def test_the_api_reports_the_content_of_the_store(service):
    """/metrics of the API counts jobs by state, ended jobs, callbacks, and its own requests by operation."""
    page = Page(service.scrape("api"))
    assert 1 == page.value("stemline_store_up")
    assert 1 == page.value("stemline_store_append_only")
    assert page.value("stemline_jobs", state="Success") >= 1
    assert page.value("stemline_jobs_ended_total", state="Failed") >= 1
    assert page.value("stemline_jobs_created_total") >= 2
    assert page.value("stemline_callbacks_total", outcome="delivered") >= 2
    assert page.value("stemline_callback_tries_total") >= 3
    assert 0 == page.value("stemline_callbacks_dead")
    assert 0 == page.value("stemline_jobs_waiting_age_seconds", level="0")
    assert page.value("stemline_api_requests_total", operation="create_jobs", status="200") >= 2


def test_the_worker_reports_for_its_child(service):
    """A prefork worker's parent reports attempts, stages, model and speed of the child that worked."""
    page = Page(service.scrape("worker"))
    assert 1 == page.value("stemline_attempts_total", outcome="success")
    assert 1 == page.value("stemline_attempts_total", outcome="failed", code="ResourceNotFound")
    assert 3 == pytest.approx(page.value("stemline_separated_audio_seconds_total"), abs=0.1)
    for stage in ("download", "decode", "infer", "encode", "upload"):
        assert 1 == page.value("stemline_stage_seconds_count", stage=stage)
    assert page.value("stemline_stage_seconds_sum", stage="infer") > 0
    assert 1 == page.value("stemline_realtime_factor_count", model="2stems")
    assert 1 == page.value("stemline_model_load_seconds_count", model="2stems")
    assert 1 == page.value("stemline_model_loaded", model="2stems", engine="onnxruntime", device="cpu")
    assert 0 == page.value("stemline_attempts_running")


def test_the_callback_worker_reports_attempts_and_sweeps(service):
    """Delivery attempts are counted by the class of the answer, and the last sweep is reported."""
    page = Page(service.scrape("callbacks"))
    assert 1 == page.value("stemline_callback_attempts_total", type="url", status="5xx", state="pending")
    assert 2 <= page.value("stemline_callback_attempts_total", status="2xx", state="delivered")
    assert 3 <= page.value("stemline_callback_seconds_count", type="url")
    assert page.value("stemline_sweep_timestamp_seconds") > 1.7e9


def test_nothing_a_client_chooses_becomes_a_label(service):
    """Unknown paths, hosts and ids make no new series in the API."""
    service.client.request("GET", "/jobs/j0")
    service.client.request("GET", "/nowhere")
    service.scrape("api")
    before = len(Page(service.scrape("api")).samples)
    for number in range(20):
        service.client.request("GET", f"/jobs/j{number:032x}")
        service.client.request("GET", f"/nowhere/{number}")
    assert before + 20 > len(Page(service.scrape("api")).samples)


def test_processes_behind_one_port_report_one_sum(service, tmp_path):
    """With two API processes the page counts the requests of both, and asks for the token that is set."""
    port, metrics_port = free_port(), free_port()
    env = {
        **service.env,
        "STEMLINE_METRICS_TOKEN": "token-of-prometheus",
        "STEMLINE_METRICS_PORT": str(metrics_port),
    }
    url = f"http://127.0.0.1:{metrics_port}"
    command = ("-m", "stemline", "api", "--port", str(port), "--processes", "2")
    with program(tmp_path / "api.log", env, *command) as started:
        eventually(
            lambda: answers(f"{url}/readyz") and answers(f"http://127.0.0.1:{port}/healthz"), 180, "the API"
        )
        client = replace(service.client, port=port)
        for _ in range(20):
            assert 200 == client.get("/queue").status
        with pytest.raises(HTTPError, match="403"):
            urlopen(f"{url}/metrics")
        request = Request(f"{url}/metrics", headers={"Authorization": "Bearer token-of-prometheus"})

        def counted() -> float:
            with urlopen(request) as page:
                found = Page(page.read().decode())
            return found.value("stemline_api_requests_total", operation="list_queues", status="200")

        eventually(lambda: counted() >= 20, 180, "the last request is counted")
        assert [20, 20, 20, 20] == [counted() for _ in range(4)]
    assert [] == [line for line in started.text().splitlines() if not line.startswith('{"')]


@pytest.fixture
def store(valkey, valkey_server) -> Iterator[Store]:
    kept = open_store(Settings(redis_url=valkey_server.url, key_prefix="m"))
    yield kept
    kept.close()


def submit(store: Store, bucket: int, level: int = 0, model: str | None = None) -> None:
    tenant = Tenant(f"b{bucket}-1250000000", "ap-chongqing")
    spec = JobSpec(
        tenant,
        "in/a.mp3",
        VoiceSeparate(AudioMode.IS_AUDIO, AudioConfig(), model),
        Output(tenant.region, tenant.bucket, au_object="v.mp3"),
        level=level,
    )
    store.jobs.create([spec])


def collected(store: Store, most: int) -> list:
    return [
        sample
        for metric in StoreCollector(store.statistics, max_queues=most).collect()
        for sample in metric.samples
    ]


def test_queues_beyond_the_limit_are_summed(store):
    """With ten queues and room for three, the three fullest have labels and the others are one sum."""
    for bucket in range(10):
        for _ in range(bucket + 1):
            submit(store, bucket, level=bucket % 3)
    samples = collected(store, 3)
    waiting = [s for s in samples if s.name == "stemline_queue_waiting"]
    assert 4 * 3 == len(waiting)
    assert 55 == sum(s.value for s in waiting)
    named = {s.labels["bucket"].partition("/")[2][:2] for s in waiting} - {""}
    assert {"b7", "b8", "b9"} == named
    assert 28 == sum(s.value for s in waiting if s.labels["queue"] == OTHER)
    assert len(samples) == len(collected(store, 3))
    for bucket in range(10, 40):
        submit(store, bucket)
    assert len(samples) == len(collected(store, 3))


def test_paused_running_and_waiting_jobs_are_reported_separately(store):
    """A paused queue's jobs are Pause and do not age; a claimed job is Running; another queue ages."""
    submit(store, 1)
    submit(store, 2)
    submit(store, 2)
    (queue,) = store.queues.search(Tenant("b1-1250000000", "ap-chongqing"), QueueFilter()).items
    store.queues.update(queue.tenant, queue.id, state=QueueState.PAUSED)
    assert store.attempts.claim("w", (0,)) is not None
    values = {(s.name, *s.labels.values()): s.value for s in collected(store, 10)}
    assert 1 == values["stemline_jobs", "Pause"]
    assert 1 == values["stemline_jobs", "Submitted"]
    assert 1 == values["stemline_jobs", "Running"]
    assert 1 == values["stemline_jobs_startable", "0"]
    assert 0 < values["stemline_jobs_waiting_age_seconds", "0"] < 300
    assert 1 == values["stemline_queue_paused", "ap-chongqing/b1-1250000000", queue.id]


def test_jobs_that_no_worker_can_do_are_reported(store):
    """Waiting jobs are counted by the model that they name, and apart where no worker serves it."""
    for model in ("htdemucs", "mdx", "mdx"):
        submit(store, 1, model=model)
    store.workers.report(Worker("w", "separation", 1, (0,), "cpu", "1.0", 5, serves=("mdx",)))
    values = {(s.name, *s.labels.values()): s.value for s in collected(store, 10)}
    found = {
        (model, name): values[f"stemline_jobs_{name}", model]
        for model in ("htdemucs", "mdx")
        for name in ("wanting_model", "without_worker")
    }
    assert found == {
        ("htdemucs", "wanting_model"): 1,
        ("htdemucs", "without_worker"): 1,
        ("mdx", "wanting_model"): 2,
        ("mdx", "without_worker"): 0,
    }


def test_an_unreachable_store_is_reported():
    """Without a store the page is served, with stemline_store_up 0."""
    store = open_store(Settings(redis_url="redis://127.0.0.1:1/0"))
    assert [("stemline_store_up", 0)] == [(s.name, s.value) for s in collected(store, 3)]
    store.close()


def test_many_scrapes_ask_the_store_once(store, monkeypatch: pytest.MonkeyPatch):
    """A second scrape within two seconds reuses the first, so scraping cannot load the store."""
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(store_metrics, "time", clock)
    collector = StoreCollector(store.statistics, max_queues=1)

    def created() -> float:
        (found,) = (m for m in collector.collect() if m.name == "stemline_jobs_created")
        return found.samples[0].value

    assert 0 == created()
    submit(store, 1)
    now = 101.9
    assert 0 == created()
    now = 102.0
    assert 1 == created()


def test_alerts_and_dashboard_use_metrics_that_are_reported(service, store):
    """Every name and label in an alert or on the dashboard is one that a running process reports."""
    samples = [s for name in ("api", "worker", "callbacks") for s in Page(service.scrape(name)).samples]
    submit(store, 1, model="htdemucs")  # some are reported for a model that waiting jobs name
    samples += collected(store, 10)
    reported: dict[str, set[str]] = {}
    for sample in samples:
        reported.setdefault(sample.name, set()).update(sample.labels)
    asked = [rule["expr"] for rule in everything()] + expressions()
    assert len(asked) > 20
    recorded = {rule["record"]: _labels(rule["expr"]) for rule in everything() if "record" in rule}
    for text in asked:
        names = set(re.findall(r"\bstemline_[a-z_]+", text))
        assert names <= reported.keys(), text
        # Labels of Prometheus, and of those who run several.
        scraped = {"job", "instance", "cluster", "namespace", "installation", "alertname", "alertstate"}
        made = [recorded[name] for name in re.findall(r"\bstemline:[a-z_]+", text)]
        labels = set().union(*(reported[name] for name in names), *made) | scraped
        assert _labels(text) <= labels, text


def _labels(text: str) -> set[str]:
    """Return the labels that an expression names."""
    used = re.findall(r"(?:by|on) \(([^)]*)\)", text) + re.findall(r"[{,]\s*(\w+)\s*[!=]", text)
    return {label.strip() for group in used for label in group.split(",") if label.strip()}
