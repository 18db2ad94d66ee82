"""The null test and the waveforms of a separation."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.extension import Extension
from stemline.separation.media.codecs import Encoding
from stemline.separation.monitor import Monitor
from stemline.separation.separator import Separator
from stemline.separation.waveform import WaveformMeter
from tests.support.engines import LoudnessMasks

_RNG = np.random.default_rng(0)
_MIX = _RNG.uniform(-0.9, 0.9, (10_000, 2)).astype(np.float32)


_FLOAT = Encoding("wav", 44_100, 0, 2, 32)


def _monitor(
    *, off_by: float, is_complete: bool = True, encoding: Encoding = _FLOAT, gain: float = 0.3
) -> Monitor:
    """Run a monitor over a mix and two stems, cut at different places; one sample of a stem is wrong."""
    voice = (gain * _MIX).astype(np.float32)
    rest = _MIX - voice
    rest[7777, 1] += np.float32(off_by)
    monitor = Monitor({"voice": encoding, "rest": encoding}, is_complete=is_complete)
    blocks = list(monitor.watch(np.array_split(_MIX, 6)))
    assert sum(map(len, blocks)) == len(_MIX)
    for one, other in zip(np.array_split(voice, 13), np.array_split(rest, 13), strict=True):
        monitor.feed({"voice": one, "rest": other})
    return monitor


def test_stems_that_add_up_pass_the_null_test() -> None:
    """Stems whose sum is the mix differ from it by the rounding of floats alone."""
    null = _monitor(off_by=0.0).null_test_db()
    assert null is not None
    assert -170 < null < -130


@pytest.mark.parametrize(
    ("codec", "bits", "least", "most"),
    [("wav", 16, -97, -90), ("flac", 16, -97, -90), ("flac", 24, -145, -132), ("mp3", 16, -97, -90)],
)
def test_the_null_test_is_of_what_is_written(codec: str, bits: int, least: float, most: float) -> None:
    """Stems are rounded as their encoder takes them: the sum is off by about a step of the file's depth."""
    null = _monitor(off_by=0.0, encoding=Encoding(codec, 44_100, 0, 2, bits)).null_test_db()
    assert null is not None
    assert least <= null <= most


def test_clipping_shows() -> None:
    """Where stems go beyond full scale, files that clip them do not add up to the mix, and others do."""
    clipped = _monitor(off_by=0.0, encoding=Encoding("wav", 44_100, 0, 2, 16), gain=2.0).null_test_db()
    assert clipped is not None
    assert clipped == pytest.approx(20 * np.log10(0.8), abs=0.5)
    exact = _monitor(off_by=0.0, gain=2.0).null_test_db()
    assert exact is not None
    assert exact < -130


def test_one_wrong_sample_shows() -> None:
    """One sample that is off by a thousandth is -60 dBFS in the null test."""
    assert _monitor(off_by=0.001).null_test_db() == pytest.approx(-60, abs=0.1)


def test_no_null_test_without_all_stems() -> None:
    """The sum is not compared where a stem of the model is missing."""
    assert _monitor(off_by=0.0, is_complete=False).null_test_db() is None


@pytest.mark.parametrize(
    ("voice", "rest", "doubts"),
    [
        (0.3, 0.7, (None, None)),
        (0.01, 0.99, (None, None)),
        (-0.5, 1.5, (None, None)),
        (0.0, 1.0, ("silent", "mix")),
        (1e-5, 1.0, ("silent", "mix")),
        (1000.0, -999.0, ("loud", "loud")),
        (2.1, 0.5, ("loud", None)),
        (0.0, 0.0, ("silent", "silent")),
    ],
)
def test_broken_stems_are_doubted(voice: float, rest: float, doubts: tuple[str | None, str | None]) -> None:
    """Stems that are silent, much louder than the mix, or the mix, are reported; parts of a mix are not."""
    monitor = _shared(voice, rest)
    assert doubts == tuple(share.doubt for share in monitor.shares().values())
    for factor, share in zip((voice, rest), monitor.shares().values(), strict=True):
        expected = 20 * np.log10(abs(factor)) if factor else None
        assert share.energy_db == pytest.approx(expected, abs=0.01)


def test_stems_of_silence_are_not_doubted() -> None:
    """Where the mix is silent or nearly so, its stems may be as well."""
    for level in (0.0, 1e-4):
        assert {None} == {share.doubt for share in _shared(0.0, 1.0, level=level).shares().values()}


@pytest.mark.parametrize(("voice", "rest", "left"), [(0.3, 0.6, -20), (0.5, 0.5, None), (1.0, 1.0, 0)])
def test_what_independent_parts_leave_of_the_mix(voice: float, rest: float, left: float | None) -> None:
    """The energy that a network's own stems leave is that of the mix less their sum."""
    assert _shared(voice, rest, parts=("voice", "rest")).residual_db() == pytest.approx(left, abs=0.01)
    assert _shared(voice, rest).residual_db() is None
    assert _shared(voice, rest, parts=("voice", "missing")).residual_db() is None


@pytest.mark.parametrize("extension", Extension)
def test_stems_add_up_unless_something_is_silenced(extension: Extension) -> None:
    """With zeros above 11 kHz nothing is said of the stems' sum, but what they leave of the mix is."""
    silenced = extension is Extension.ZEROS
    with Separator(LoudnessMasks(), extension=extension) as separator:
        names = separator.engine.network.instruments
        assert separator.adds_up(names) == (not silenced)
        assert not separator.adds_up(names[:1])
        assert separator.parts == (names if silenced else ())


def _shared(voice: float, rest: float, *, level: float = 1.0, parts: tuple[str, ...] = ()) -> Monitor:
    """Run a monitor over a mix and two stems that are multiples of it."""
    mix = _MIX * np.float32(level)
    monitor = Monitor({"voice": _FLOAT, "rest": _FLOAT}, is_complete=False, parts=parts)
    assert len(list(monitor.watch(np.array_split(mix, 6)))) == 6
    for piece in np.array_split(mix, 13):
        monitor.feed({"voice": piece * np.float32(voice), "rest": piece * np.float32(rest)})
    return monitor


def test_waveforms_of_the_mix_and_of_each_stem() -> None:
    """The waveforms are those of the whole streams."""
    monitor = _monitor(off_by=0.0)
    whole = WaveformMeter()
    whole.feed(_MIX)
    assert monitor.mix_waveform() == whole.finish()
    assert set(monitor.waveforms()) == {"voice", "rest"}
