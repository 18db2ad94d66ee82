from __future__ import annotations

import numpy as np
import pytest

from stemline.separation import stft
from stemline.separation.extension import UPPER_BIN, Extension
from stemline.separation.network import FRAME, HOP, NETWORK_BINS


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((2, samples), dtype=np.float32)


@pytest.mark.parametrize("frames", [4, 31, 32, 33, 512])
def test_a_mask_of_ones_gives_the_samples_back(frames: int) -> None:
    """Forward and inverse are exact where four frames overlap."""
    signal = noise(stft.span(frames))
    spectrum = stft.forward(signal)
    ones = np.ones((2, frames, NETWORK_BINS), np.float32)
    back = stft.share(signal, spectrum[..., :NETWORK_BINS], ones, ones[..., :1])
    assert signal.shape == back.shape
    inner = slice(stft.TAIL, frames * HOP)
    assert np.abs(signal - back)[:, inner].max() < 1e-6


def test_frames_are_those_of_the_definition() -> None:
    """A frame is the discrete Fourier transform of 4,096 windowed samples, here in double precision."""
    signal = noise(stft.span(40))
    window = np.hanning(FRAME + 1)[:-1]
    expected = np.fft.rfft(signal[1, 37 * HOP : 37 * HOP + FRAME].astype(np.float64) * window)
    actual = stft.forward(signal)[1, 37]
    assert np.abs(expected - actual).max() < 1e-4 * np.abs(expected).max()


def test_a_spectrum_without_a_mask_is_inverted_as_it_is() -> None:
    """A spectrum that needs no mask gives what a mask of ones gives."""
    spectrum = stft.forward(noise(stft.span(33)))
    ones = np.ones(spectrum.shape, np.float32)
    assert np.array_equal(stft.inverse(spectrum), stft.inverse(spectrum, ones))


def test_lower_bins_are_those_of_the_whole_spectrum() -> None:
    """A part of the spectrum can be had without the memory of the whole one."""
    signal = noise(stft.span(33))
    assert np.array_equal(stft.forward(signal, 1024), stft.forward(signal)[..., :1024])


def test_zeros_extension_silences_what_the_network_does_not_see() -> None:
    """Without the extension nothing is left above bin 1,024."""
    signal = noise(stft.span(64))
    spectrum = stft.forward(signal)
    ones = np.ones((2, 64, NETWORK_BINS), np.float32)
    back = stft.forward(stft.share(signal, spectrum[..., :NETWORK_BINS], ones, None))[:, 8:-8]
    assert np.abs(back[..., NETWORK_BINS + 16 :]).max() < 1e-3 * np.abs(back[..., :NETWORK_BINS]).max()


@pytest.mark.parametrize(
    ("extension", "share"), [(Extension.AVERAGE, 0.25), (Extension.UPPER, (768 - UPPER_BIN) / 324)]
)
def test_extensions_continue_the_mask(extension: Extension, share: float) -> None:
    """Above bin 1,024 the share is the mean of the shares below, or of the upper ones of them."""
    signal = noise(stft.span(64))
    spectrum = stft.forward(signal)
    mask = np.zeros((2, 64, NETWORK_BINS), np.float32)
    mask[..., 512:768] = 1.0
    mask[:, 20:40] *= 0.5  # shares that change from frame to frame
    above = np.full((64, 1), share)
    above[20:40] *= 0.5
    back = stft.share(signal, spectrum[..., :NETWORK_BINS], mask, extension.share(mask))
    wanted = spectrum.copy()
    wanted[..., :NETWORK_BINS] *= mask
    wanted[..., NETWORK_BINS:] *= above
    assert np.abs(stft.inverse(wanted) - back).max() < 1e-6
