"""The compiled short-time Fourier transform, beside numpy's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stemline.separation import stft
from stemline.separation.extension import Extension
from stemline.separation.native.library import SETS, find
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.network import FRAME, HOP, NETWORK_BINS
from tests.conftest import missing

FRAMES = (1, 2, 3, 5, 40)


@pytest.fixture(params=SETS)
def native(request: pytest.FixtureRequest) -> NativeSTFT:
    """The transform of one instruction set."""
    found = find("auto")
    if found.library is None:
        missing("what the build compiles")
    if SETS.index(request.param) > SETS.index(found.instructions):
        pytest.skip(f"this processor has no {request.param}")
    library = find(request.param).library
    assert library is not None
    return NativeSTFT(library)


def noise(frames: int) -> np.ndarray:
    """Return samples (2, span(frames)), the right channel louder than the left one."""
    samples = np.random.default_rng(3).standard_normal((2, stft.span(frames)), dtype=np.float32)
    return samples * np.array([[0.1], [2.0]], np.float32)


def masks(frames: int) -> np.ndarray:
    return np.random.default_rng(4).random((2, frames, NETWORK_BINS), dtype=np.float32)


@pytest.mark.parametrize("frames", FRAMES)
def test_a_spectrum_is_that_of_the_definition(native: NativeSTFT, frames: int) -> None:
    """Every frame is the discrete Fourier transform of 4,096 windowed samples, here in double precision."""
    samples = noise(frames)
    spectrum, magnitude = native.forward(samples, frames)
    assert (spectrum.shape, magnitude.shape) == (2 * ((2, frames, NETWORK_BINS),))
    window = np.hanning(FRAME + 1)[:-1]
    for channel in range(2):
        for frame in range(frames):
            part = samples[channel, frame * HOP : frame * HOP + FRAME].astype(np.float64)
            expected = np.fft.rfft(part * window)[:NETWORK_BINS]
            largest = np.abs(expected).max()
            assert np.abs(expected - spectrum[channel, frame]).max() < 1e-6 * largest
            assert np.abs(np.abs(expected) - magnitude[channel, frame]).max() < 1e-6 * largest


@pytest.mark.parametrize("extension", Extension)
@pytest.mark.parametrize("frames", FRAMES)
def test_a_share_is_the_one_of_numpy(native: NativeSTFT, frames: int, extension: Extension) -> None:
    """With any extension, the samples are those of the other implementation."""
    samples, mask = noise(frames), masks(frames)
    above = extension.share(mask)
    expected = stft.share(samples, stft.forward(samples, NETWORK_BINS), mask, above)
    actual = native.share(samples, native.forward(samples, frames)[0], mask, above)
    assert expected.shape == actual.shape
    assert np.abs(expected - actual).max(axis=1) == pytest.approx(0, abs=1e-6)


def test_a_mask_of_ones_gives_the_samples_back(native: NativeSTFT) -> None:
    """Forward and inverse are exact where four frames overlap."""
    samples, ones = noise(40), np.ones((2, 40, NETWORK_BINS), np.float32)
    back = native.share(samples, native.forward(samples, 40)[0], ones, ones[..., :1])
    inner = slice(stft.TAIL, 40 * HOP)
    assert np.abs(samples - back)[:, inner].max() < 2e-6


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_channel_stays_silent(native: NativeSTFT, silent: int) -> None:
    """Channels are transformed one by one: nothing of the one is heard in the other."""
    samples = noise(5)
    samples[silent] = 0
    spectrum, magnitude = native.forward(samples, 5)
    stem = native.share(samples, spectrum, masks(5), masks(5)[..., :1])
    assert not spectrum[silent].any()
    assert not magnitude[silent].any()
    assert not stem[silent].any()
    assert magnitude[1 - silent].all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_hidden(native: NativeSTFT, value: float) -> None:
    """A broken mask gives samples that are refused afterwards."""
    samples, mask = noise(5), masks(5)
    mask[1, 2, 100] = value
    stem = native.share(samples, native.forward(samples, 5)[0], mask, None)
    assert not np.isfinite(stem[1]).all()
    assert np.isfinite(stem[0]).all()


def test_samples_may_lie_in_memory_in_any_order(native: NativeSTFT) -> None:
    """Channel by channel, moment by moment, or with others between them, they give the same."""
    samples, mask = noise(3), masks(3)
    orders = [samples, np.asfortranarray(samples), np.repeat(samples, 2, axis=1)[:, ::2]]
    spectra = [native.forward(each, 3) for each in orders]
    stems = [native.share(each, spectra[0][0], mask, None) for each in orders]
    assert len({spectrum.tobytes() + magnitude.tobytes() for spectrum, magnitude in spectra}) == 1
    assert len({np.ascontiguousarray(stem).tobytes() for stem in stems}) == 1


def test_threads_do_not_disturb_each_other(native: NativeSTFT) -> None:
    """Several segments at a time give the bytes that one gives."""
    samples = [noise(3) * np.float32(number + 1) for number in range(8)]
    alone = [native.forward(each, 3)[0].tobytes() for each in samples]
    with ThreadPoolExecutor(4) as executor:
        together = executor.map(lambda each: native.forward(each, 3)[0].tobytes(), samples)
        assert alone == list(together)


def test_arrays_of_other_shapes_are_refused(native: NativeSTFT) -> None:
    """The library trusts sizes, so they are checked before it is called."""
    samples, mask = noise(3), masks(3)
    spectrum = native.forward(samples, 3)[0]
    with pytest.raises(ValueError, match="frames"):
        native.forward(samples, 4)
    with pytest.raises(ValueError, match="frames"):
        native.forward(samples[:1], 3)
    with pytest.raises(ValueError, match="frames"):
        native.share(noise(4), spectrum, mask, None)
    with pytest.raises(ValueError, match="spectrum"):
        native.share(samples, spectrum, masks(2), None)
    with pytest.raises(ValueError, match="spectrum"):
        native.share(samples, spectrum.astype(np.complex128), mask, None)
    with pytest.raises(ValueError, match="shares"):
        native.share(samples, spectrum, mask, np.ones((2, 3), np.float32))
