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
Spectrum = NDArray[np.complex64]  # (channels, frames, 2,049), or the first bins of it
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
#: What both windows leave of a sample in each quarter of a frame, the last quarter first.
_BOTH_WINDOWS = (_WINDOW.reshape(OVERLAP, HOP) * _INVERSE_WINDOW)[::-1].copy()


def span(frames: int) -> int:
    """Return the number of samples that `frames` frames cover."""
    return frames * HOP + TAIL


def forward(samples: Samples, bins: int = FRAME_BINS) -> Spectrum:
    """Return the spectrum (channels, frames, bins) of `samples` (channels, span(frames)), or less of it."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, FRAME, axis=-1)[:, ::HOP]
    channels, frames, _ = windows.shape
    spectrum = np.empty((channels, frames, bins), np.complex64)
    for channel in range(channels):
        for start in range(0, frames, _BLOCK):
            part = slice(start, start + _BLOCK)
            frame = windows[channel, part] * _FORWARD_WINDOW
            spectrum[channel, part] = np.fft.rfft(frame, axis=-1, norm="forward")[:, :bins]
    return spectrum


def magnitude(spectrum: Spectrum) -> NDArray[np.float32]:
    """Return the absolute values (channels, frames, 1,024) of the bins that the networks see."""
    return np.abs(spectrum[..., :NETWORK_BINS])


def inverse(spectrum: Spectrum, mask: Mask | None = None, less: Mask | None = None) -> Samples:
    """Return the samples (channels, span(frames)) of `spectrum` times `mask`, overlaps added.

    Args:
        spectrum: (channels, frames, bins); further bins are zero.
        mask: Factors of its values, of the same shape.
        less: What is taken from the factors of each frame, (channels, frames, 1).
    """
    channels, frames, bins = spectrum.shape
    samples = np.zeros((channels, frames + OVERLAP - 1, HOP), np.float32)
    masked = np.zeros((min(_BLOCK, frames), FRAME_BINS), np.complex64)
    for channel in range(channels):
        for start in range(0, frames, _BLOCK):
            part = slice(start, min(start + _BLOCK, frames))
            count = part.stop - start
            factor = 1.0 if mask is None else mask[channel, part]
            if less is not None:
                factor = factor - less[channel, part]
            np.multiply(spectrum[channel, part], factor, out=masked[:count, :bins])
            pieces = np.fft.irfft(masked[:count], FRAME, axis=-1).reshape(count, OVERLAP, HOP)
            pieces *= _INVERSE_WINDOW
            for quarter in range(OVERLAP):
                samples[channel, start + quarter : part.stop + quarter] += pieces[:, quarter]
    return samples.reshape(channels, -1)


def share(mix: Samples, spectrum: Spectrum, mask: Mask, above: Mask | None) -> Samples:
    """Return an instrument's samples (channels, span(frames)), from the lower bins of the mix alone.

    Args:
        mix: Samples of the mix, (channels, span(frames)).
        spectrum: The lower bins of its spectrum, (channels, frames, 1,024).
        mask: The instrument's share of each of them, of the same shape, 0 to 1.
        above: Its share of all bins above, (channels, frames, 1); None is silence.
    """
    if above is None:
        return inverse(spectrum, mask)
    # The share of the upper bins in all bins needs no spectrum: it is the mix under a gain that changes.
    samples = inverse(spectrum, mask, above)
    edges = np.pad(above[..., 0], ((0, 0), (OVERLAP - 1, OVERLAP - 1)))
    weights = np.lib.stride_tricks.sliding_window_view(edges, OVERLAP, axis=-1)
    for channel, (whole, result) in enumerate(zip(mix, samples, strict=True)):
        for start in range(0, weights.shape[1], _BLOCK):
            gain = weights[channel, start : start + _BLOCK] @ _BOTH_WINDOWS
            part = slice(start * HOP, start * HOP + gain.size)
            result[part] += whole[part] * gain.reshape(-1)
    return samples
