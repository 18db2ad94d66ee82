"""Networks of the operator through the whole service: API, store, worker with its engines, bucket."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from stemline.models import installation
from stemline.models.weights import WeightStore
from stemline.runtime.store import open_store
from stemline.runtime.telemetry import Tracer
from stemline.separation.decoder import Decoder
from stemline.storage import Buckets
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import BUCKET, Answer, submission
from stemline.workers.context import SeparationContext
from stemline.workers.engines import Engines
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.separate import separate
from stemline.workers.serving import Serving
from stemline.workers.shutdown import Shutdown
from tests.golden import networks
from tests.support.networks import SPECTROGRAM, WAVEFORM, card, scaling

DATA = Path(networks.__file__).parent / "data/networks"
PHYSICAL = "models-1250000000"
OUTPUT = "".join(
    f"<{name}>out/{name}.wav</{name}>" for name in ("AuObject", "Object", "BassObject", "DrumObject")
)
WAV = "<AudioConfig><Codec>wav</Codec></AudioConfig>"
MIX = (np.random.default_rng(0).standard_normal((30_000, 2)) * 3000).astype("<i2")


@dataclass
class Service:
    """An API server, and a worker in this process with its own engines."""

    api: ApiServer
    context: SeparationContext
    s3: Any

    def submit(self, mode: str, model: str = "") -> Answer:
        named = f"<Model>{model}</Model>" if model else ""
        body = submission(mode=mode, config=WAV + named, output=OUTPUT, source="in")
        return self.api.client.post("/jobs", body)

    def run(self, mode: str, model: str = "") -> tuple[AttemptResult, dict[str, Any]]:
        """Submit a job, make one attempt, and return its result with the job's answer in JSON."""
        result, job = self.tried(mode, model)
        assert result is not None
        return result, job

    def tried(self, mode: str, model: str) -> tuple[AttemptResult | None, dict[str, Any]]:
        """The same, where the worker may not take the job."""
        asked = self.submit(mode, model)
        assert asked.status == 200, asked.body
        result = separate(self.context, "worker", wake_up_level=0)
        path = f"/jobs/{asked.text('JobsDetail/JobId')}"
        answer = self.api.client.request("GET", path, headers={"Accept": "application/json"})
        return result, json.loads(answer.body)["JobsDetail"][0]

    def stem(self, name: str) -> np.ndarray:
        content = self.s3.get_object(Bucket=PHYSICAL, Key=f"out/{name}.wav")["Body"].read()
        with wave.open(io.BytesIO(content)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


class Quiet:
    """What a worker reports to; does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def add_networks(folder: Path, store: WeightStore) -> None:
    """Add an htdemucs of random weights, one whose stems are known, and an MDX-Net whose stems are."""
    text = networks.waveform_card("htdemucs", "track") + WAVEFORM[WAVEFORM.index("[mix_less]") :]
    (folder / "htdemucs.toml").write_text(text)
    installation.add(store, folder / "htdemucs.toml", DATA / "htdemucs-0.onnx")
    network = scaling(folder / "bands.onnx", (2, 8_000), (0.1, 0.2, 0.3, 0.4))
    installation.add(store, card(folder / "bands.toml", WAVEFORM, name="bands", samples=8_000), network)
    installation.add(store, card(folder / "renewed.toml", WAVEFORM, name="renewed", samples=8_000), network)
    network = scaling(folder / "mdx.onnx", (4, 513, 32), (0.25,))
    shape = {"n_fft": 1_024, "hop": 256, "bins": 513, "frames": 32}
    about = {"kind": "complex-spectrogram", "stems": ["vocals"], "name": "mdx"}
    rest = 'compensation = 2.0\n[mix_less]\naccompaniment = ["vocals"]\n'
    installation.add(store, card(folder / "mdx.toml", SPECTROGRAM, spectrum=rest, **about, **shape), network)


@pytest.fixture(scope="module")
def service(valkey_server, s3_server, tmp_path_factory) -> Iterator[Service]:
    redis.Redis.from_url(valkey_server.url).flushall()
    folder = tmp_path_factory.mktemp("models")
    add_networks(folder, WeightStore(folder / "models"))
    access = {
        "endpoint_url": s3_server.endpoint_url,
        "access_key": s3_server.access_key,
        "secret_key": s3_server.secret_key,
        "keeps_files": True,
    }
    s3_server.create_bucket(PHYSICAL)
    s3 = s3_server.client()
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(MIX.tobytes())
    s3.put_object(Bucket=PHYSICAL, Key="in", Body=content.getvalue())
    settings = api_settings(
        redis_url=valkey_server.url,
        buckets={BUCKET: {**access, "name": PHYSICAL}},
        scratch_dir=str(tmp_path_factory.mktemp("scratch")),
        models_dir=str(folder / "models"),
        mode_models={"AudioAndBackground": "mdx", "MusicMode": "bands"},
        request_models=["htdemucs", "bands", "mdx", "renewed", "gone", "missing"],
    )
    quiet: Any = Quiet()
    with ApiServer(settings, open_store(settings, notify=lambda _: None)) as api:
        metrics = WorkerMetrics()
        serving = Serving(settings.engine)
        serving.refresh()
        context = SeparationContext(
            settings,
            store=api.store,
            buckets=Buckets(settings),
            notifier=quiet,
            tracer=Tracer(),
            metrics=metrics,
            events=quiet,
            shutdown=Shutdown(),
            engine=Engines(settings, metrics),
            decoder=Decoder(),
            device_failed=pytest.fail,
            serves=serving.get,
        )
        yield Service(api, context, s3)
        context.decoder.close()
    s3.close()


def test_the_settings_choose_the_model_of_a_mode(service: Service) -> None:
    """Each mode is answered by the model of the settings: the job names it, and has its stems."""
    result, job = service.run("AudioAndBackground")
    assert (result.outcome, job["State"], job["Model"]) == (Outcome.SUCCESS, "Success", "mdx")
    assert np.abs(service.stem("AuObject") - 0.5 * MIX).max() <= 1.5
    assert np.abs(service.stem("Object") - 0.5 * MIX).max() <= 1.5
    assert float(job["Operation"]["SoundInfo"]["NullTestDb"]) < -90
    result, job = service.run("MusicMode")
    assert (job["State"], job["Model"]) == ("Success", "bands")
    for name, share in {"DrumObject": 0.1, "BassObject": 0.2, "Object": 0.3, "AuObject": 0.4}.items():
        assert np.abs(service.stem(name) - share * MIX).max() <= 1.5


@pytest.mark.parametrize("mode", ["IsAudio", "MusicMode"])
def test_a_job_chooses_its_model(service: Service, mode: str) -> None:
    """A small htdemucs of random weights separates the job that names it, to the source's length."""
    result, job = service.run(mode, "htdemucs")
    assert (result.outcome, job["Model"]) == (Outcome.SUCCESS, "htdemucs")
    assert job["Operation"]["VoiceSeparate"]["Model"] == "htdemucs"
    voice = service.stem("AuObject")
    assert voice.shape == MIX.shape
    assert np.abs(voice).max() > 0


def test_a_job_that_waits_gets_the_network_that_is_there_then(service: Service, tmp_path: Path) -> None:
    """A model is replaced while a job waits, after another job ran it: the next one has the new stems."""
    result, _ = service.run("IsAudio", "renewed")
    assert result.outcome is Outcome.SUCCESS
    assert np.abs(service.stem("AuObject") - 0.4 * MIX).max() <= 1.5
    assert service.submit("IsAudio", "renewed").status == 200
    network = scaling(tmp_path / "other.onnx", (2, 4_000), (0.4, 0.3, 0.2, 0.1))
    text = card(tmp_path / "renewed.toml", WAVEFORM, name="renewed", samples=4_000)
    models = service.context.settings.engine.models_dir
    assert models is not None
    installation.add(WeightStore(models), text, network, replace_it=True)
    waited = separate(service.context, "worker", wake_up_level=0)
    assert waited is not None
    assert waited.outcome is Outcome.SUCCESS
    assert np.abs(service.stem("AuObject") - 0.1 * MIX).max() <= 1.5


def test_a_model_that_is_not_allowed_is_refused(service: Service) -> None:
    """A credential may name the models of the settings alone."""
    answer = service.submit("IsAudio", "4stems")
    assert (answer.status, answer.text("Code")) == (403, "AccessDenied")
    assert "4stems" in str(answer.text("Message"))


def test_a_model_that_does_not_answer_the_mode_fails_the_job(service: Service) -> None:
    """The message names the model, the mode, and what it answers."""
    result, job = service.run("MusicMode", "mdx")
    assert (result.outcome, job["State"], job["Code"]) == (Outcome.FAILED, "Failed", "InvalidArgument")
    assert job["Message"] == "The model mdx does not answer MusicMode; it answers AudioAndBackground."


def test_a_job_waits_for_a_worker_that_has_its_model(service: Service) -> None:
    """A worker without the model leaves the job to others, and it says why it waits."""
    result, job = service.tried("IsAudio", "gone")
    assert (result, job["State"]) == (None, "Submitted")
    assert "No worker that is running serves gone." == job["Message"]


def test_a_model_that_went_since_the_claim_puts_the_job_off(service: Service) -> None:
    """A worker whose model was removed after its last look returns the job, so that another can do it."""
    late = Service(service.api, replace(service.context, serves=lambda: ("missing",)), service.s3)
    result, job = late.run("IsAudio", "missing")
    assert (result.outcome, job["State"]) == (Outcome.POSTPONED, "Submitted")
    history = service.context.store.jobs.history(job["JobId"])
    assert "The model missing is not on this worker" in history[-1].text
