"""The short-time Fourier transform of any frame and hop: centred frames under a periodic Hann window.

This is `torch.stft` with ``center=True``, which the networks of MDX-Net and Open-Unmix were trained with, and
its inverse `torch.istft`. (Spleeter's own transform, of one size and faster, is in `stft`.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (channels, samples)
Spectrum = NDArray[np.complex64]  # (channels, bins, frames)


class CentredTransform:
    """Transforms segments of one length.

    Args:
        n_fft: Samples of a frame.
        hop: Samples between two frames.
        frames: Frames of a segment, which has hop * (frames - 1) samples.
    """

    def __init__(self, n_fft: int, hop: int, frames: int) -> None:
        self.n_fft = n_fft
        self.hop = hop
        self.frames = frames
        self.bins = n_fft // 2 + 1
        self.samples = hop * (frames - 1)
        self._window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
        # Single precision is faster with norm="forward", which divides by n_fft.
        self._forward_window = self._window * np.float32(n_fft)
        total = np.zeros(self.samples + n_fft, np.float64)
        for start in range(0, frames * hop, hop):
            total[start : start + n_fft] += np.square(self._window, dtype=np.float64)
        inside = total[n_fft // 2 : n_fft // 2 + self.samples]
        self._scale = (1.0 / np.maximum(inside, 1e-11)).astype(np.float32)

    def forward(self, samples: Samples) -> Spectrum:
        """Return the spectrum (channels, bins, frames) of (channels, hop * (frames - 1)) samples."""
        half = self.n_fft // 2
        padded = np.pad(samples, ((0, 0), (half, half)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=-1)[:, :: self.hop]
        spectrum = np.empty((len(samples), self.frames, self.bins), np.complex64)
        for channel, frames in enumerate(windows):
            spectrum[channel] = np.fft.rfft(frames * self._forward_window, axis=-1, norm="forward")
        return spectrum.transpose(0, 2, 1)

    def inverse(self, spectrum: Spectrum) -> Samples:
        """Return the samples (channels, hop * (frames - 1)) of a spectrum (channels, bins, frames)."""
        samples = np.zeros((len(spectrum), self.samples + self.n_fft), np.float32)
        for channel, bins in enumerate(spectrum):
            pieces = np.fft.irfft(bins.T, self.n_fft, axis=-1).astype(np.float32) * self._window
            for number, piece in enumerate(pieces):
                samples[channel, number * self.hop : number * self.hop + self.n_fft] += piece
        half = self.n_fft // 2
        return samples[:, half : half + self.samples] * self._scale
