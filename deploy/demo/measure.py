"""The quality of a separated stem."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt


def samples(wav: bytes) -> npt.NDArray[np.float64]:
    """Return the samples of a 16-bit wav file, (samples, channels), full scale 1."""
    with wave.open(io.BytesIO(wav)) as reader:
        raw = reader.readframes(reader.getnframes())
        return np.frombuffer(raw, "<i2").reshape(-1, reader.getnchannels()) / 32768


def sdr_db(true: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Return the signal-to-distortion ratio, dB: the energy of the true stem over that of the difference.

    Args:
        true: Samples of the true stem, (samples, channels).
        found: Samples of the separated stem, of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if true.shape != found.shape:
        raise ValueError(f"the stem has shape {found.shape}, not {true.shape}")
    error = float(np.sum((true - found) ** 2))
    return float(10 * np.log10(np.sum(true**2) / max(error, 1e-20)))
