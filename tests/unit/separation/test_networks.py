"""What every network promises that is described by a card, with small networks on ONNX Runtime."""

from __future__ import annotations

import re
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemline.models import installation
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import (
    CardError,
    EmptyAudio,
    NonFiniteAudio,
    OptionError,
    WeightsCorrupt,
    WeightsMissing,
)
from stemline.separation.kinds.ratio_mask import RatioMask
from stemline.separation.segment_engine import SegmentEngine
from stemline.separation.separators import measured, open_separator
from stemline.separation.spectra import CentredTransform
from stemline.testing.processes import eventually
from tests.support.networks import SPECTROGRAM, WAVEFORM, card, scaling, squashing

SAMPLES = 2_000
N_FFT, HOP, BINS, FRAMES = 256, 64, 129, 33
FACTORS = (0.1, 0.2, 0.3, 0.4)
SHAPE = {"n_fft": N_FFT, "hop": HOP, "bins": BINS, "frames": FRAMES}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """One network of each kind: its stems are the mix times a factor each."""
    folder = tmp_path_factory.mktemp("networks")
    store = WeightStore(folder / "models")

    def add(name: str, network: Path, text: Path) -> None:
        assert installation.add(store, text, network).name == name

    network = scaling(folder / "waveform.onnx", (2, SAMPLES), FACTORS)
    add("waveform", network, card(folder / "waveform.toml", WAVEFORM, name="waveform", samples=SAMPLES))
    text = card(folder / "moved.toml", WAVEFORM, name="moved", samples=SAMPLES)
    text.write_text(text.read_text().replace("overlap = 0.25", 'window = "hamming"\noverlap = 0.6'))
    add("moved", network, text)
    rest = '[mix_less]\naccompaniment = ["vocals"]\n'
    network = scaling(folder / "complex.onnx", (4, BINS, FRAMES), (0.25,))
    joined = '[segment]\nwindow = "{}"\noverlap = {}\n'
    for name, more in (
        ("complex", ""),
        ("hann", joined.format("hann", 0.5)),
        ("alone", joined.format("hann", 0)),
        ("hamming", joined.format("hamming", 0.75)),
        ("hamming-alone", joined.format("hamming", 0)),
    ):
        text = card(
            folder / f"{name}.toml",
            SPECTROGRAM,
            name=name,
            kind="complex-spectrogram",
            stems=["vocals"],
            spectrum="compensation = 2.0\n" + more + rest,
            **SHAPE,
        )
        add(name, network, text)
    network = scaling(folder / "masks.onnx", (2, BINS, FRAMES), (1.0, 3.0))
    text = card(
        folder / "masks.toml",
        SPECTROGRAM,
        name="masks",
        kind="ratio-mask",
        stems=["vocals", "accompaniment"],
        **SHAPE,
    )
    add("masks", network, text)
    for name, normalisation in (("track", "track"), ("running", "running"), ("bent", "none")):
        network = squashing(folder / f"{name}.onnx", (2, SAMPLES), FACTORS)
        options = f'normalisation = "{normalisation}"'
        add(
            name,
            network,
            card(folder / f"{name}.toml", WAVEFORM, name=name, samples=SAMPLES, options=options),
        )
    members = '[[members]]\nmodel = "waveform"\n[[members]]\nmodel = "complex"\n'
    installation.add(store, ensemble(folder, "ensemble", members), None)
    return store


#: The share of the mix that each network gives its voice.
VOICE = {
    "waveform": 0.4,
    "moved": 0.4,
    "complex": 0.5,
    "hann": 0.5,
    "alone": 0.5,
    "masks": 0.25,
    "ensemble": 0.45,
} | dict.fromkeys(("hamming", "hamming-alone"), 0.5)


@pytest.fixture(params=VOICE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(store: WeightStore, name: str) -> LoadedEngine:
    return load_engine(name, directory=store.directory, threads=2)


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((samples, 2), dtype=np.float32) * np.float32(0.2)


def blocks(signal: np.ndarray, size: int = 700) -> Iterator[np.ndarray]:
    return (signal[start : start + size] for start in range(0, len(signal), size))


def separated(
    engine: LoadedEngine, mix: np.ndarray, size: int = 700, **options: object
) -> dict[str, np.ndarray]:
    with open_separator(engine) as separator:
        pieces = list(separator.separate(blocks(mix, size), **options))  # type: ignore[arg-type]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@pytest.mark.parametrize("samples", [1, 2, 499, 1_500, 1_999, 2_000, 2_001, 2_111, 3_500, 3_501, 9_999])
def test_stems_have_the_length_and_the_samples_of_the_source(
    engine: LoadedEngine, name: str, samples: int
) -> None:
    """From one sample to several segments, each stem is as long as the mix and in its place."""
    mix = noise(samples)
    stems = separated(engine, mix)
    assert mix.shape == stems["vocals"].shape
    assert np.abs(stems["vocals"] - VOICE[name] * mix).max() < 1e-5


@pytest.mark.parametrize("size", [1_999, 100_000])
def test_a_stream_equals_the_whole(engine: LoadedEngine, size: int) -> None:
    """Blocks of any size give the same samples."""
    mix = noise(10_001)
    expected, stems = separated(engine, mix), separated(engine, mix, size)
    assert expected.keys() == stems.keys()
    assert np.abs(np.stack(list(expected.values())) - np.stack(list(stems.values()))).max() < 1e-6


def test_the_stems_of_a_mode_add_up_to_the_mix(engine: LoadedEngine) -> None:
    """Voice and what is made by subtraction are the mix again, to -90 dB, and the network says so."""
    mix = noise(9_999)
    pair = ("vocals", "accompaniment")
    stems = separated(engine, mix, instruments=pair)
    assert pair == tuple(stems)
    residual = stems["vocals"] + stems["accompaniment"] - mix
    assert 20 * np.log10(np.abs(residual).max() + 1e-12) < -90
    assert engine.network.is_complete(pair) or engine.network.name == "masks"


def test_an_impulse_stays_where_it_is(engine: LoadedEngine) -> None:
    """A click is at its place in the stem, at the edges of segments too."""
    mix = np.zeros((6_000, 2), np.float32)
    places = [0, 1_499, 1_500, 2_000, 5_999]
    mix[places] = 0.9
    voice = separated(engine, mix)["vocals"][:, 0]
    assert places == np.sort(np.argsort(np.abs(voice))[-len(places) :]).tolist()


def test_what_is_no_audio_is_an_error(engine: LoadedEngine) -> None:
    """No samples, and samples that are no numbers, end with their own errors."""
    with open_separator(engine) as separator:
        with pytest.raises(EmptyAudio):
            list(separator.separate([]))
        bad = noise(5_000)
        bad[4_000, 1] = np.nan
        with pytest.raises(NonFiniteAudio):
            list(separator.separate([bad]))


def test_a_stem_that_is_unknown_is_refused(engine: LoadedEngine) -> None:
    """The error names the model and the stem."""
    with open_separator(engine) as separator, pytest.raises(OptionError, match="piano"):
        list(separator.separate([noise(10)], instruments=["piano"]))


def test_leaving_early_leaves_nothing_behind(engine: LoadedEngine) -> None:
    """After a consumer stops, the next stream is complete, and no thread remains after closing."""
    before = set(threading.enumerate())
    mix = noise(9_000)
    with open_separator(engine) as separator:
        pieces = separator.separate(blocks(mix))
        next(pieces)
        pieces.close()
        assert len(mix) == sum(len(piece["vocals"]) for piece in separator.separate(blocks(mix)))
    assert eventually(lambda: set(threading.enumerate()) <= before, 180, "the end of the threads")


def test_memory_does_not_grow_with_length(engine: LoadedEngine) -> None:
    """Of the samples of a stream twelve times as long, not half are ever held at once."""

    def peak(length: int) -> int:
        tracemalloc.start()
        try:
            with open_separator(engine) as separator:
                pieces = separator.separate(noise(700, seed) for seed in range(24 * length))
                assert sum(len(piece["vocals"]) for piece in pieces) == 700 * 24 * length
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is made once
    more = 11 * 24 * 700 * 2 * 4  # bytes of the samples that the longer stream has more
    least = min(peak(1) for _ in range(2))
    # All of the process is counted, also what a thread of an earlier test still does: one of some is enough.
    assert any(peak(12) - least < more / 2 for _ in range(4))


def test_a_track_is_normalised_as_a_whole(store: WeightStore) -> None:
    """With `track` the network sees (mix - mean) / deviation of all samples, as with Demucs itself."""
    engine = load_engine("track", directory=store.directory)
    mix = noise(7_000) + np.float32(0.1)
    mix[3_000:] *= 3
    with open_separator(engine) as separator:
        assert separator.moment_rates == {44_100}
        moments = measured(separator, lambda: closing(blocks(mix)), None)
    voice = separated(engine, mix, moments=moments)["vocals"]
    mono = mix.mean(axis=1, dtype=np.float64)
    mean, deviation = mono.mean(), mono.std(ddof=1)
    expected = 0.4 * np.tanh((mix - mean) / deviation) * deviation + mean
    assert np.abs(voice - expected).max() < 1e-5


class closing:  # noqa: N801  # used like a function
    """A source that can be opened: gives its blocks once."""

    def __init__(self, given: Iterator[np.ndarray]) -> None:
        self._given = given

    def __enter__(self) -> Iterator[np.ndarray]:
        return self._given

    def __exit__(self, *_: object) -> None:
        pass


def test_a_running_normalisation_needs_no_pass_before(store: WeightStore) -> None:
    """A segment is normalised by what was heard as far as it; neither blocks nor later music matter."""
    engine = load_engine("running", directory=store.directory)
    mix = noise(7_000)
    mix[3_500:] *= 3
    with open_separator(engine) as separator:
        assert not separator.moment_rates
    voice = separated(engine, mix)["vocals"]
    assert np.abs(voice - separated(engine, mix, 7_000)["vocals"]).max() < 1e-6
    first = mix[:SAMPLES].mean(axis=1, dtype=np.float64)
    mean, deviation = first.mean(), first.std(ddof=1)
    expected = 0.4 * np.tanh((mix[:1_500] - mean) / deviation) * deviation + mean
    assert np.abs(voice[:1_500] - expected).max() < 1e-5


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("normalised", ["track", "running"])
def test_silence_is_not_divided_by_zero(store: WeightStore, normalised: str, value: float) -> None:
    """A constant mix, one sample of it too, gives finite stems."""
    engine = load_engine(normalised, directory=store.directory)
    for samples in (1, 3_000):
        stems = separated(engine, np.full((samples, 2), value, np.float32))
        assert np.isfinite(np.stack(list(stems.values()))).all()


def ensemble(folder: Path, name: str, members: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\nkind = "ensemble"\nstems = ["vocals"]\nlicence = "MIT"\nsource = "here"\n'
        f'[mix_less]\naccompaniment = ["vocals"]\n{members}'
    )
    return path


def test_an_ensemble_is_the_weighted_average(store: WeightStore, tmp_path: Path) -> None:
    """Models of different kinds and segments are averaged sample by sample; the rest adds up to the mix."""
    members = (
        '[[members]]\nmodel = "waveform"\nweights = { vocals = 1.0 }\n'
        '[[members]]\nmodel = "complex"\nweights = { vocals = 3.0 }\n'
        '[[members]]\nmodel = "hann"\nweights = {}\n'
    )
    installation.add(store, ensemble(tmp_path, "average", members), None, replace_it=True)
    engine = load_engine("average", directory=store.directory)
    for samples in (1, 1_999, 12_345):
        mix = noise(samples)
        stems = separated(engine, mix)
        assert np.abs(stems["vocals"] - mix * (0.4 + 3 * 0.5) / 4).max() < 1e-5
        assert np.abs(stems["vocals"] + stems["accompaniment"] - mix).max() < 1e-6


@pytest.mark.parametrize("weight", [1e-300, 1e-45, 5e-324])
def test_tiny_weights_are_weights(store: WeightStore, tmp_path: Path, weight: float) -> None:
    """Weights below what single precision holds divide the stems as larger ones do."""
    members = "".join(
        f'[[members]]\nmodel = "{model}"\nweights = {{ vocals = {weight!r} }}\n'
        for model in ("waveform", "complex")
    )
    installation.add(store, ensemble(tmp_path, "tiny", members), None, replace_it=True)
    mix = noise(1_000)
    stems = separated(load_engine("tiny", directory=store.directory), mix)
    assert np.abs(stems["vocals"] - mix * (0.4 + 0.5) / 2).max() < 1e-5


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("stems", [1, 2])
def test_quiet_sound_keeps_its_shares(power: float, stems: int) -> None:
    """Equal stems of sound at -120 dB and at 240 dB of full scale are as loud as of sound at 0 dB."""
    mask = RatioMask(CentredTransform(256, 64, 9), 129, stems, power=power)
    mix = noise(512).T
    for gain in (1e-6, 1.0, 1e12):
        magnitudes, spectrum = mask.encode(mix * np.float32(gain))
        out = mask.decode(np.stack([magnitudes] * stems), spectrum)
        assert np.abs(out / np.float32(gain) - mix / stems).max() < 1e-3
        silence = mask.decode(np.zeros((stems, *magnitudes.shape), np.float32), spectrum * 0)
        assert not silence.any()


def test_a_member_without_weight_does_not_run(store: WeightStore, tmp_path: Path, monkeypatch) -> None:
    """In a bag with a network for each stem, only the network of the stem that is asked for runs."""
    members = '[[members]]\nmodel = "waveform"\n[[members]]\nmodel = "complex"\nweights = {}\n'
    installation.add(store, ensemble(tmp_path, "bag", members), None, replace_it=True)
    engine = load_engine("bag", directory=store.directory)
    ran: list[str] = []
    run = SegmentEngine.stems

    def noted(self: SegmentEngine, *arguments: Any, **options: Any) -> np.ndarray:
        ran.append(self.network.name)
        return run(self, *arguments, **options)

    monkeypatch.setattr(SegmentEngine, "stems", noted)
    separated(engine, noise(5_000))
    assert set(ran) == {"waveform"}


@pytest.mark.parametrize(
    ("members", "report"),
    [
        ('[[members]]\nmodel = "nobody"\n', "There is no model 'nobody'"),
        ('[[members]]\nmodel = "4stems"\nweights = { piano = 1 }\n', "there is no stem 'piano'"),
        ('[[members]]\nmodel = "waveform"\nweights = { vocals = 0 }\n', "no member has a weight for vocals"),
        ('[[members]]\nmodel = "wrong"\n', "cannot be its own member"),
    ],
)
def test_a_wrong_ensemble_is_not_added(store: WeightStore, tmp_path: Path, members: str, report: str) -> None:
    """Unknown members and stems, and stems of no weight, are errors."""
    with pytest.raises((CardError, OptionError), match=report):
        installation.add(store, ensemble(tmp_path, "wrong", members), None)
    assert not (store.directory / "wrong").exists()


@pytest.mark.parametrize("kind", ["waveform", "complex-spectrogram", "ratio-mask"])
def test_a_network_of_one_channel_runs_for_each(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that sees one channel gives the stems of both; if they are equal, it runs once."""
    store = WeightStore(tmp_path / "models")
    path, text = tmp_path / "mono.onnx", tmp_path / "mono.toml"
    if kind == "waveform":
        network = scaling(path, (1, SAMPLES), FACTORS)
        card(text, WAVEFORM, name="mono", samples=SAMPLES, options="channels = 1")
    else:
        stems = ["vocals", "accompaniment"]
        takes, factors = (
            ((2, BINS, FRAMES), (0.4, 0.6)) if kind == "complex-spectrogram" else ((1, BINS, FRAMES), (2, 3))
        )
        network = scaling(path, takes, factors)
        about = {"name": "mono", "kind": kind, "stems": stems, "options": "channels = 1"}
        card(text, SPECTROGRAM, **about, **SHAPE)
    installation.add(store, text, network)
    engine = load_engine("mono", device="cpu", directory=store.directory)
    assert isinstance(engine, SegmentEngine)
    length = engine.network.cutting.length
    mix = np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    ran: list[np.ndarray] = []
    run = engine._runner.run

    def counted(given: np.ndarray, **how: Any) -> Any:
        ran.append(given)
        return run(given, **how)

    monkeypatch.setattr(engine._runner, "run", counted)
    voice = engine.stems(mix)[engine.network.outputs.index("vocals")]
    assert np.abs(voice - np.float32(0.4) * mix)[:, N_FFT:-N_FFT].max() < 1e-5
    assert 2 == len(ran)
    equal = engine.stems(mix[[0, 0]])
    assert 3 == len(ran)
    assert np.array_equal(equal[:, 0], equal[:, 1])


def test_a_network_of_another_number_of_channels_is_not_added(tmp_path: Path) -> None:
    """A card that says two channels of a network that takes one is refused, with both shapes."""
    network = scaling(tmp_path / "mono.onnx", (1, SAMPLES), FACTORS)
    text = card(tmp_path / "mono.toml", WAVEFORM, name="mono", samples=SAMPLES)
    with pytest.raises(WeightsCorrupt, match="takes 1 x 2000, and its card says 2 x 2000"):
        installation.add(WeightStore(tmp_path / "models"), text, network)


@pytest.mark.parametrize(
    ("takes", "factors", "report"),
    [
        ((2, 1_000), FACTORS, "takes 2 x 1000, and its card says 2 x 2000 (channels x segment.samples)."),
        (
            (2, SAMPLES),
            (1.0,),
            "gives 1 x 2 x 2000, and its card says 4 x 2 x 2000 (stems x channels x segment.samples).",
        ),
    ],
)
def test_a_card_that_does_not_fit_its_network_is_not_added(
    tmp_path: Path, takes: tuple[int, ...], factors: tuple[float, ...], report: str
) -> None:
    """The shapes of the graph are compared with the card before anything is installed."""
    store = WeightStore(tmp_path / "models")
    network = scaling(tmp_path / "net.onnx", takes, factors)
    text = card(tmp_path / "card.toml", WAVEFORM, name="wrong", samples=SAMPLES)
    with pytest.raises(
        WeightsCorrupt, match=f"^{text} and {network}: The network of wrong {re.escape(report)}$"
    ):
        installation.add(store, text, network)
    assert not (store.directory / "wrong").exists()


@pytest.mark.parametrize(
    ("kind", "takes", "gives", "fields"),
    [
        ("complex-spectrogram", (4, BINS - 1, FRAMES), 1, "2 * channels x spectrum.bins x spectrum.frames"),
        (
            "complex-spectrogram",
            (4, BINS, FRAMES),
            3,
            "2 * channels * stems x spectrum.bins x spectrum.frames",
        ),
        ("ratio-mask", (1, BINS, FRAMES), 1, "channels x spectrum.bins x spectrum.frames"),
        ("ratio-mask", (2, BINS, FRAMES), 3, "stems x channels x spectrum.bins x spectrum.frames"),
    ],
)
def test_the_fields_that_contradict_a_network_are_named(
    tmp_path: Path, kind: str, takes: tuple[int, ...], gives: int, fields: str
) -> None:
    """A shape is the product of several fields: the error names both files and these fields, in a line."""
    network = scaling(tmp_path / "net.onnx", takes, (1.0,) * gives)
    stems = ["vocals", "accompaniment"]
    text = card(tmp_path / "card.toml", SPECTROGRAM, name="wrong", kind=kind, stems=stems, **SHAPE)
    with pytest.raises(WeightsCorrupt) as caught:
        installation.add(WeightStore(tmp_path / "models"), text, network)
    message = caught.value.message
    assert message.startswith(f"{text} and {network}: The network of wrong ")
    assert message.endswith(f" ({fields}).")
    assert "\n" not in message


def test_what_is_no_network_is_not_added(tmp_path: Path) -> None:
    """A file that is no graph, a missing one, and one of another checksum have errors of their own."""
    store = WeightStore(tmp_path / "models")
    text = card(tmp_path / "card.toml", WAVEFORM, name="wrong", samples=SAMPLES)
    (tmp_path / "net.onnx").write_bytes(b"text")
    with pytest.raises(WeightsCorrupt, match="is no ONNX file"):
        installation.add(store, text, tmp_path / "net.onnx")
    with pytest.raises(WeightsMissing):
        installation.add(store, text, tmp_path / "nothing.onnx")
    text = card(
        tmp_path / "sum.toml", WAVEFORM, name="wrong", samples=SAMPLES, options=f'sha256 = "{"0" * 64}"'
    )
    with pytest.raises(WeightsCorrupt, match=r"is not what .*sum\.toml describes \(sha256\): it has"):
        installation.add(store, text, tmp_path / "net.onnx")


def test_a_network_changed_on_disk_is_not_loaded(tmp_path: Path) -> None:
    """A byte that changed since it was added, and the model is refused."""
    store = WeightStore(tmp_path / "models")
    network = scaling(tmp_path / "net.onnx", (2, SAMPLES), FACTORS)
    added = installation.add(
        store, card(tmp_path / "a.toml", WAVEFORM, name="mine", samples=SAMPLES), network
    )
    file = store.folder(added) / added.file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match="SHA-256"):
        load_engine("mine", directory=store.directory)


def test_one_segment_runs_at_a_time_unless_the_card_allows_more(store: WeightStore, tmp_path: Path) -> None:
    """By default a segment has all cores and the memory is that of one; `at_once` lets several share them."""
    network = scaling(tmp_path / "net.onnx", (2, SAMPLES), FACTORS)
    text = card(tmp_path / "card.toml", WAVEFORM, name="several", samples=SAMPLES)
    text.write_text(text.read_text().replace("overlap = 0.25", "at_once = 3"))
    installation.add(store, text, network, replace_it=True)
    for name, threads, expected in (("waveform", 4, 1), ("several", 4, 3), ("several", 2, 2)):
        engine = load_engine(name, directory=store.directory, device="cpu", threads=threads)
        assert engine.in_flight == expected
    mix = noise(9_999)
    assert np.abs(separated(engine, mix)["vocals"] - 0.4 * mix).max() < 1e-5


def test_the_engine_of_spleeter_refuses_other_models(store: WeightStore) -> None:
    """TensorFlow runs Spleeter's own networks alone; the refusal names the engine and the model."""
    with pytest.raises(OptionError, match="The engine tensorflow runs Spleeter's models only, not waveform"):
        load_engine("waveform", engine="tensorflow", directory=store.directory)
