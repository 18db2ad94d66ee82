"""The short-time Fourier transform of Spleeter and its inverse, in single precision, on whole segments.

Frames of 4,096 samples every 1,024 under a periodic Hann window, on the way in and on the way out. The
squares of four overlapping windows add up to 3/2, which the inverse divides out, so that inverse(forward(x))
equals x wherever four frames overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemline.separation.network import FRAME, FRAME_BINS, HOP, NETWORK_BINS

Samples = NDArray[np.float32]  # (channels, samples)
Spectrum = NDArray[np.complex64]  # (channels, frames, 2,049)
Mask = NDArray[np.float32]  # (channels, frames, 1,024)

#: Frames that share a sample.
OVERLAP = FRAME // HOP
#: Samples by which neighbouring segments overlap.
TAIL = FRAME - HOP

#: Frames transformed at a time, few enough for the CPU's cache.
_BLOCK = 32

_WINDOW = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)
#: numpy's forward transform is in single precision, and seven times faster, only with norm="forward", which
#: divides by the length. The window multiplies by it again: exact, because the length is a power of two.
_FORWARD_WINDOW = _WINDOW * np.float32(FRAME)
_INVERSE_WINDOW = (_WINDOW * np.float32(2.0 / 3.0)).reshape(OVERLAP, HOP)


def span(frames: int) -> int:
    """Return the number of samples that `frames` frames cover."""
    return frames * HOP + TAIL


def forward(samples: Samples) -> Spectrum:
    """Return the spectrum (channels, frames, 2,049) of `samples` (channels, span(frames))."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, FRAME, axis=-1)[:, ::HOP]
    channels, frames, _ = windows.shape
    spectrum = np.empty((channels, frames, FRAME_BINS), np.complex64)
    for channel in range(channels):
        for start in range(0, frames, _BLOCK):
            part = slice(start, start + _BLOCK)
            frame = windows[channel, part] * _FORWARD_WINDOW
            spectrum[channel, part] = np.fft.rfft(frame, axis=-1, norm="forward")
    return spectrum


def magnitude(spectrum: Spectrum) -> NDArray[np.float32]:
    """Return the absolute values (channels, frames, 1,024) of the bins that the networks see."""
    return np.abs(spectrum[..., :NETWORK_BINS])


def inverse(spectrum: Spectrum, mask: Mask | None = None, above: Mask | None = None) -> Samples:
    """Return the samples (channels, span(frames)) of `spectrum` times `mask`, overlaps added.

    Args:
        spectrum: The mix, (channels, frames, 2,049).
        mask: The instrument's share of each bin, (channels, frames, 1,024), 0 to 1; without one, the spectrum
            is the instrument's own.
        above: Its share of the bins above the mask, (channels, frames, 1); without one, they are zero.
    """
    channels, frames, _ = spectrum.shape
    samples = np.zeros((channels, frames + OVERLAP - 1, HOP), np.float32)
    masked = np.zeros((min(_BLOCK, frames), FRAME_BINS), np.complex64)
    for channel in range(channels):
        for start in range(0, frames, _BLOCK):
            part = slice(start, min(start + _BLOCK, frames))
            count = part.stop - start
            whole = spectrum[channel, part]
            if mask is None:
                masked[:count] = whole
            else:
                np.multiply(whole[:, :NETWORK_BINS], mask[channel, part], out=masked[:count, :NETWORK_BINS])
            if mask is not None and above is not None:
                np.multiply(whole[:, NETWORK_BINS:], above[channel, part], out=masked[:count, NETWORK_BINS:])
            pieces = np.fft.irfft(masked[:count], FRAME, axis=-1).reshape(count, OVERLAP, HOP)
            pieces *= _INVERSE_WINDOW
            for quarter in range(OVERLAP):
                samples[channel, start + quarter : part.stop + quarter] += pieces[:, quarter]
    return samples.reshape(channels, -1)
