"""The service as an operator runs it, every process real, looked at from outside while it does one job."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest

from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.models.catalogue import model_named
from stemline.models.download import pull
from stemline.models.weights import WeightStore
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.client import BUCKET, HOST, SECRET_ID, Client, submission
from stemline.testing.otlp_collector import Collector, collecting
from stemline.testing.processes import Program, environment, eventually, program
from stemline.testing.receiver import Receiver, answer, receiving
from tests.conftest import SeaweedServer, ValkeyServer, free_port, running
from tests.support.measured import MEASURED
from tests.support.shared import SHARED

RATE = 44_100
TRACE = "0af7651916cd43dd8448eb211c80319c"
"""The trace that the client of the successful job brought along."""

SECRETS = {
    "the key that signs requests": "SignerKeyThatNobodyMayRead",
    "the password of Valkey": "ValkeyPasswordThatNobodyMayRead",
    "the key of the S3 store": "StoreKeyThatNobodyMayRead",
    "the secret that signs callbacks": "V2ViaG9va1NlY3JldFRoYXROb2JvZHlNYXlSZWFk",
    "a receiver, password": "ReceiverPasswordThatNobodyMayRead",
    "a receiver, token": "ReceiverTokenThatNobodyMayRead",
    "user data": "UserDataThatNobodyMayRead",
    "a request's signature": "q-signature=",
    "a presigned request": "X-Amz-Signature=",
}


@dataclass
class Service:
    """The running processes, and what went through them."""

    env: dict[str, str]
    client: Client
    store: Store
    s3: SeaweedServer
    receiver: Receiver
    programs: dict[str, Program]
    metrics: dict[str, str]
    """URLs of /metrics by process."""
    collector: Collector
    jobs: dict[str, Job] = field(default_factory=dict)

    def submit(self, source: str, **headers: str) -> str:
        """Submit a job with user data and a callback; its id."""
        url = (
            f"http://me:{SECRETS['a receiver, password']}@127.0.0.1:{self.receiver.port}"
            f"/hook?token={SECRETS['a receiver, token']}"
        )
        body = submission(
            source=source,
            config="<AudioConfig><Codec>wav</Codec></AudioConfig>",
            operation=f"<UserData>{SECRETS['user data']}</UserData>",
            request=f"<CallBack>{url}</CallBack><CallBackFormat>JSON</CallBackFormat>",
        )
        answered = self.client.post("/jobs", body, {"Content-Type": "application/xml", **headers})
        assert 200 == answered.status, answered.body
        return answered.text("JobsDetail/JobId")

    def ended(self, job_id: str) -> Job:
        """The job once it is over and its callback was delivered."""

        def done() -> Job | None:
            job = self.store.jobs.find(job_id)
            sent = self.store.outbox.for_job(job_id)
            return job if job and job.ended and sent and sent.status == "delivered" else None

        return eventually(done, 180, f"the end and the callback of {job_id}")

    def has_reported(self) -> bool:
        """Whether the last line and the last figure about both jobs were written: they follow the answers."""
        last = {
            "api": '"status": 403',
            "worker": '"attempt.succeeded"',
            "callbacks": f'"job": "{self.jobs["failure"].id}"',
        }
        return all(text in self.programs[name].text() for name, text in last.items()) and (
            "stemline_attempts_running 0.0" in self.scrape("worker")
        )

    def scrape(self, process: str) -> str:
        """The page that a process serves to Prometheus."""
        with urlopen(self.metrics[process], timeout=60) as page:
            return page.read().decode()


def tone(seconds: float) -> bytes:
    """A wav of a chord."""
    t = np.arange(round(seconds * RATE)) / RATE
    samples = np.repeat((0.3 * np.sin(2 * np.pi * 220 * t))[:, None], 2, axis=1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10):
            return True
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """API, separation worker, callback worker and clock, after one job that succeeded and one that failed."""
    found: Service = SHARED.get("service", lambda: running_service(tmp_path_factory.mktemp("service")))
    return found


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """Run the service while the block runs."""
    pull(WeightStore(), model_named("2stems"))
    for name in ("valkey", "seaweedfs"):
        (folder / name).mkdir()
    valkey = ValkeyServer(folder / "valkey", password=SECRETS["the password of Valkey"])
    s3 = SeaweedServer(folder / "seaweedfs", secret_key=SECRETS["the key of the S3 store"])
    with ExitStack() as stack:
        for server in (valkey, s3):
            stack.callback(server.kill)
            next(running(server))
        s3.create_bucket(BUCKET)
        collector = stack.enter_context(collecting())
        receiver = stack.enter_context(receiving(answer(503, b"not yet"), answer(200)))
        port, metrics = free_port(), {name: free_port() for name in ("api", "worker", "callbacks")}
        env = environment(
            valkey.url,
            SimpleNamespace(endpoint_url=s3.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key),
            credentials=[
                {"secret_id": SECRET_ID, "secret_key": SECRETS["the key that signs requests"]},
            ],
            webhook_secrets=["whsec_" + SECRETS["the secret that signs callbacks"]],
            callback_schedule_s=[0, 1, 2],
            log_level="debug",
            retry_delay_s=1,
            otlp_endpoint=f"http://127.0.0.1:{collector.port}",
        )

        def start(name: str, *words: str, **changes: str) -> Program:
            log = folder / f"{name}.log"
            return stack.enter_context(program(log, {**env, **changes, **MEASURED}, "-m", "stemline", *words))

        programs = {
            "api": start("api", "api", "--port", str(port), STEMLINE_METRICS_PORT=str(metrics["api"])),
            "worker": start("worker", "worker", "separate", STEMLINE_METRICS_PORT=str(metrics["worker"])),
            "callbacks": start(
                "callbacks", "worker", "callbacks", STEMLINE_METRICS_PORT=str(metrics["callbacks"])
            ),
            "beat": start("beat", "beat"),
        }
        store = open_store(Settings(redis_url=valkey.url))
        stack.callback(store.close)
        eventually(lambda: answers(f"http://127.0.0.1:{metrics['api']}/readyz"), 180, "the API")
        started = Service(
            env=env,
            client=Client(port, HOST, SECRET_ID, SECRETS["the key that signs requests"]),
            store=store,
            s3=s3,
            receiver=receiver,
            collector=collector,
            programs=programs,
            metrics={name: f"http://127.0.0.1:{at}/metrics" for name, at in metrics.items()},
        )
        client = s3.client()
        client.put_object(Bucket=BUCKET, Key="in/tone.wav", Body=tone(3))
        client.close()
        for name, source, state, headers in (
            ("success", "in/tone.wav", State.SUCCESS, {"traceparent": f"00-{TRACE}-{'1' * 16}-01"}),
            ("failure", "in/none.wav", State.FAILED, {}),
        ):
            job = started.ended(started.submit(source, **headers))
            assert state is job.state, (job.code, job.message)
            started.jobs[name] = job
        started.client.request("GET", "/jobs/j0", signed=False)
        eventually(started.has_reported, 180, "what the processes write once all is over")
        yield started
