"""Every mode through the whole service: API, store, worker with real networks, bucket; at every codec.

The stored bytes are looked at by the `ffmpeg` and `ffprobe` of the system, which Stemline does not use.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from stemline.models.catalogue import MODELS
from stemline.models.graph import build_graph
from stemline.runtime.store import open_store
from stemline.runtime.telemetry import Tracer
from stemline.separation.decoder import Decoder
from stemline.separation.engine import Engine
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.separator import Separator
from stemline.storage import Buckets
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import BUCKET, Answer, submission
from stemline.workers.context import SeparationContext
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import Outcome
from stemline.workers.separate import separate
from stemline.workers.shutdown import Shutdown
from tests.golden import seeded, song
from tests.golden.fixtures import weights_2stems
from tests.support.engines import mask_engine

pytestmark = pytest.mark.slow

__all__ = ["weights_2stems"]

RATE, SECONDS = 44_100, 3.0
HEARD_RATE = 8_000
"""Stems are compared at the rate of the narrowest codec."""

TRACKS: Mapping[str, Mapping[str, str]] = {
    "IsAudio": {"AuObject": "vocals"},
    "IsBackground": {"Object": "accompaniment"},
    "AudioAndBackground": {"AuObject": "vocals", "Object": "accompaniment"},
    "MusicMode": {"AuObject": "vocals", "Object": "other", "BassObject": "bass", "DrumObject": "drums"},
}
"""What docs/wire/wire.md says each mode writes, by the names of Spleeter's instruments."""
CODECS = {"mp3": "mp3", "aac": "aac", "flac": "flac", "wav": "pcm_s16le", "amr": "amr_nb"}
"""Each codec by the name that ffprobe gives it."""
_FEW: Mapping[str, tuple[str, ...]] = {
    "AudioAndBackground": ("mp3", "amr", "flac"),
    "IsAudio": ("wav",),
    "IsBackground": ("aac",),
    "MusicMode": ("mp3",),
}
"""Codecs of each mode whose stems `make test` looks at: every codec, and both numbers of stems."""
CASES = [
    pytest.param(mode, codec, marks=[pytest.mark.thorough] * (codec not in codecs))
    for mode, codecs in _FEW.items()
    for codec in CODECS
    if mode != "MusicMode" or codec in {"mp3", "aac", "wav"}  # the wire allows it no others
]


@dataclass
class Service:
    """An API server, and a worker in this process, on one store and one bucket."""

    api: ApiServer
    context: SeparationContext
    s3: Any
    bucket: str
    expected: Mapping[str, Mapping[str, NDArray[np.float32]]]
    """What the engine of each model makes of the source, by instrument, mono at `HEARD_RATE`."""

    def separate(self, mode: str, codec: str) -> Answer:
        """Submit a job, do it, and return the answer that shows it."""
        output = "".join(f"<{name}>out/{mode}/{name}.${{ext}}</{name}>" for name in TRACKS["MusicMode"])
        config = f"<AudioConfig><Codec>{codec}</Codec></AudioConfig>"
        asked = self.api.client.post(
            "/jobs", submission(mode=mode, config=config, output=output, source="in")
        )
        assert 200 == asked.status, asked.body
        result = separate(self.context, "worker", wake_up_level=0)
        assert result is not None
        assert Outcome.SUCCESS is result.outcome, result.message
        return self.api.client.get(f"/jobs/{asked.text('JobsDetail/JobId')}")

    def stored(self) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="out/").get("Contents", [])
        return {
            each["Key"]: self.s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read()
            for each in found
        }


class Quiet:
    """What a worker reports to; does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture(scope="module")
def engines(weights_2stems: Path) -> dict[str, Engine]:
    """The real 2-stem weights, and seeded ones for the 4 stems, whose real ones are not at hand."""
    tensors = seeded.tensors(len(MODELS["4stems"].instruments))

    def graph(*, polyphase: bool) -> bytes:
        return build_graph(MODELS["4stems"], tensors, polyphase=polyphase).SerializeToString()

    return {
        "2stems": mask_engine("2stems"),
        "4stems": OnnxEngine(MODELS["4stems"], graph, device="cpu", threads=2),
    }


@pytest.fixture(scope="module")
def service(engines, valkey_server, s3_server, tmp_path_factory) -> Iterator[Service]:
    mix = song.mix(song.stems(SECONDS, seed=3))
    redis.Redis.from_url(valkey_server.url).flushall()
    access = {
        "endpoint_url": s3_server.endpoint_url,
        "access_key": s3_server.access_key,
        "secret_key": s3_server.secret_key,
        "keeps_files": True,
    }
    s3_server.create_bucket("modes-1250000000")
    s3 = s3_server.client()
    s3.put_object(Bucket="modes-1250000000", Key="in", Body=wav(mix))
    settings = api_settings(
        redis_url=valkey_server.url,
        buckets={BUCKET: {**access, "name": "modes-1250000000"}},
        scratch_dir=str(tmp_path_factory.mktemp("scratch")),
    )
    quiet: Any = Quiet()
    with ApiServer(settings, open_store(settings, notify=lambda _: None)) as api:
        context = SeparationContext(
            settings,
            store=api.store,
            buckets=Buckets(settings),
            notifier=quiet,
            tracer=Tracer(),
            metrics=WorkerMetrics(),
            events=quiet,
            shutdown=Shutdown(),
            engine=lambda model, _version: engines[model],
            decoder=Decoder(),
            device_failed=pytest.fail,
        )
        expected = {name: separated(engine, mix) for name, engine in engines.items()}
        yield Service(api, context, s3, "modes-1250000000", expected)
        context.decoder.close()
    s3.close()


def wav(samples: NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(samples * 32768.0).clip(-32768, 32767).astype("<i2").tobytes())
    return out.getvalue()


def separated(engine: Engine, mix: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What an engine makes of the samples, mono at `HEARD_RATE`."""
    with Separator(engine) as separator:
        pieces = list(separator.separate([mix]))
    stems = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return {name: heard(wav(stem)) for name, stem in stems.items()}


def ffmpeg(program: str, *arguments: str, content: bytes) -> bytes:
    return subprocess.run(
        [program, "-v", "error", *arguments], input=content, capture_output=True, check=True
    ).stdout


def heard(content: bytes) -> NDArray[np.float32]:
    """A file's sound, mono at `HEARD_RATE`, by ffmpeg."""
    raw = ffmpeg("ffmpeg", "-i", "-", "-ac", "1", "-ar", str(HEARD_RATE), "-f", "f32le", "-", content=content)
    return np.frombuffer(raw, np.float32)


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The correlation of two sounds at their best lag, which is an encoder's delay, 0 to 1."""
    size = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)
    return float(np.abs(product).max() / (np.linalg.norm(one) * np.linalg.norm(other)))


@pytest.mark.shows("Duration, FormatLongName, FormatName, NumProgram, NumStream, Size")
@pytest.mark.parametrize(("mode", "codec"), CASES)
def test_a_job_writes_what_its_mode_says(service: Service, mode: str, codec: str) -> None:
    """Under each key lies its own stem; MD5, size, duration and media info of the answer are its bytes'."""
    job = service.separate(mode, codec)
    stored = service.stored()
    for key in stored:
        service.s3.delete_object(Bucket=service.bucket, Key=key)
    tracks = TRACKS[mode]
    keys = {name: f"out/{mode}/{name}.{codec}" for name in tracks}
    assert set(keys.values()) == stored.keys()
    assert "Success" == job.text("JobsDetail/State")

    operation = "JobsDetail/Operation"
    file = f"{operation}/MediaResult/OutputFile"
    assert list(keys.values()) == job.texts(f"{file}/ObjectName")
    md5s = dict(zip(job.texts(f"{file}/Md5Info/ObjectName"), job.texts(f"{file}/Md5Info/Md5"), strict=True))
    assert {key: hashlib.md5(stored[key]).hexdigest() for key in keys.values()} == md5s

    expected = service.expected["4stems" if mode == "MusicMode" else "2stems"]
    for name, instrument in tracks.items():
        sound = heard(stored[keys[name]])
        alike = {other: likeness(sound, stem) for other, stem in expected.items()}
        assert instrument == max(alike, key=lambda other: alike[other]), (name, alike)

    (shown,) = job.xml.iterfind(f"{operation}/MediaInfo/Format")
    first = next(iter(keys.values()))
    assert str(len(stored[first])) == shown.findtext("Size")
    audios = list(job.xml.iterfind(f"{operation}/MediaInfo/Stream/Audio"))
    assert len(tracks) == len(audios)
    for key, audio in zip(keys.values(), audios, strict=True):
        probed = ffmpeg("ffprobe", "-show_streams", "-show_format", "-of", "json", "-", content=stored[key])
        (stream,) = json.loads(probed)["streams"]
        assert CODECS[codec] == stream["codec_name"]
        said = {name: audio.findtext(name) for name in ("CodecName", "SampleRate", "Channel")}
        assert {
            "CodecName": stream["codec_name"],
            "SampleRate": stream["sample_rate"],
            "Channel": str(stream["channels"]),
        } == said
        assert abs(SECONDS - float(audio.findtext("Duration") or 0)) < 0.1
        assert abs(SECONDS - len(heard(stored[key])) / HEARD_RATE) < 0.15
