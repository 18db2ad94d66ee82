"""The short-time Fourier transform in the compiled library; `stft.c` says how."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from stemline.separation.network import CHANNELS, NETWORK_BINS
from stemline.separation.stft import Mask, Samples, Spectrum, span


class NativeSTFT:
    """What `separation.stft` does, for the lower bins alone; safe to call from several threads.

    Samples are (2, span(frames)), and the two of a moment lie beside each other in memory.

    Args:
        library: The one that `library.load` finds.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = _declared(library)
        self._tables = np.empty(library.stft_tables(), np.float32)
        library.stft_prepare(self._tables.ctypes.data)

    def forward(self, samples: Samples, frames: int) -> tuple[Spectrum, NDArray[np.float32]]:
        """Return the lower bins of a spectrum and their absolute values, both (2, frames, 1,024).

        Args:
            samples: (2, span(frames)).
            frames: How many.

        Raises:
            ValueError: The samples have another shape.
        """
        samples = _interleaved(samples, frames)
        spectrum = np.empty((CHANNELS, frames, NETWORK_BINS), np.complex64)
        magnitude = np.empty(spectrum.shape, np.float32)
        addresses = (spectrum.ctypes.data, magnitude.ctypes.data)
        self._library.stft_forward(self._tables.ctypes.data, samples.ctypes.data, frames, *addresses)
        return spectrum, magnitude

    def share(self, mix: Samples, spectrum: Spectrum, mask: Mask, above: Mask | None) -> Samples:
        """Return an instrument's samples, (2, span(frames)); see `separation.stft.share`.

        Raises:
            ValueError: An array has another shape or type.
        """
        frames = spectrum.shape[1]
        shape = (CHANNELS, frames, NETWORK_BINS)
        if spectrum.dtype != np.complex64 or not shape == spectrum.shape == mask.shape:
            raise ValueError(f"Expected a spectrum and a mask of {shape}: {spectrum.shape}, {mask.shape}.")
        if above is not None:
            if above.shape != (CHANNELS, frames, 1):
                raise ValueError(f"Expected shares of {frames} frames: {above.shape}.")
            above = np.ascontiguousarray(above, np.float32)
        mix = _interleaved(mix, frames)
        spectrum, mask = np.ascontiguousarray(spectrum), np.ascontiguousarray(mask, np.float32)
        stem = np.empty_like(mix)
        self._library.stft_share(
            self._tables.ctypes.data,
            mix.ctypes.data,
            spectrum.ctypes.data,
            mask.ctypes.data,
            None if above is None else above.ctypes.data,
            frames,
            stem.ctypes.data,
        )
        return stem.T


def _interleaved(samples: Samples, frames: int) -> NDArray[np.float32]:
    if frames < 1 or samples.shape != (CHANNELS, span(frames)):
        raise ValueError(f"Samples {samples.shape} are not those of {frames} frames.")
    return np.ascontiguousarray(samples.T, np.float32)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.stft_tables.argtypes, library.stft_tables.restype = [], ctypes.c_long
    library.stft_prepare.argtypes, library.stft_prepare.restype = [pointer], None
    library.stft_forward.argtypes = [pointer, pointer, integer, pointer, pointer]
    library.stft_share.argtypes = [pointer, pointer, pointer, pointer, pointer, integer, pointer]
    library.stft_forward.restype = library.stft_share.restype = None
    return library
