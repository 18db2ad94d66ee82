"""A song made by code, whose stems are known, on the 16-bit grid so that every machine makes the same
samples.

Used by the golden tests, the benchmarks and the quality figures. It needs nothing but numpy and imports
nothing of Stemline, so that Spleeter's own environment can make it too.
"""

from __future__ import annotations

import numpy as np

RATE = 44_100
BEAT = 0.5  # seconds
CHORDS = ((220.0, 261.63, 329.63), (174.61, 220.0, 261.63), (196.0, 246.94, 293.66), (164.81, 207.65, 246.94))
MELODY = (440.0, 523.25, 493.88, 392.0, 349.23, 440.0, 329.63, 415.3)
#: Formants of five vowels: centre frequencies in Hz.
VOWELS = ((800, 1150, 2900), (400, 1600, 2700), (350, 1700, 2700), (450, 800, 2830), (325, 700, 2530))


def stems(seconds: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Return vocals, drums, bass and other, each (samples, 2) float32 at 44.1 kHz on the 16-bit grid."""
    samples = round(seconds * RATE)
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    parts = {
        "vocals": _panned(_voice(time, rng), 0.5, 0.28),
        "drums": _panned(_drums(time, rng), 0.45, 0.30),
        "bass": _panned(_bass(time, seed), 0.5, 0.22),
        "other": _panned(_chords(time, seed), 0.7, 0.20),
    }
    return {name: _grid(part) for name, part in parts.items()}


def mix(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Return the sum of stems, (samples, 2) float32."""
    return np.asarray(np.sum(list(parts.values()), axis=0, dtype=np.float32))


def _grid(signal: np.ndarray) -> np.ndarray:
    return (np.round(signal * 32768.0).clip(-32768, 32767) / 32768.0).astype(np.float32)


def _panned(mono: np.ndarray, right: float, level: float) -> np.ndarray:
    peak = np.abs(mono).max() or 1.0
    return np.stack([mono * (1 - right), mono * right], axis=1) * (2 * level / peak)


def _note(time: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the note that sounds, and the time since it began."""
    number = np.floor(time / length).astype(int)
    return number, time - number * length


def _voice(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Harmonics with vibrato under moving formants, with breath noise, resting every fourth bar."""
    number, since = _note(time, BEAT)
    pitch = np.array(MELODY)[number % len(MELODY)] * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    vowels = np.array(VOWELS, float)[number % len(VOWELS)]
    voice = np.zeros_like(time)
    for harmonic in range(1, 24):
        frequency = pitch * harmonic
        gain = sum(
            np.exp(-(((frequency - vowels[:, formant]) / (120 + 60 * formant)) ** 2)) for formant in range(3)
        )
        voice += np.sin(harmonic * phase) * (gain + 0.05) / harmonic**0.5
    breath = rng.standard_normal(len(time)) * 0.03
    envelope = np.minimum(since / 0.03, 1) * np.exp(-since * 1.2)
    rests = (np.floor(time / (16 * BEAT)) % 4 != 3).astype(float)
    return (voice + breath) * envelope * rests


def _drums(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bass drum on the beat, snare on every second, hi-hat on every half."""
    number, since = _note(time, BEAT)
    kick = np.sin(2 * np.pi * (50 * since + 60 * (1 - np.exp(-since * 30)) / 30)) * np.exp(-since * 9)
    noise = rng.standard_normal(len(time))
    snare = np.where(number % 2 == 1, 0.6 * noise * np.exp(-since * 22), 0.0)
    _, half = _note(time, BEAT / 2)
    hiss = np.diff(noise, prepend=0.0)
    return kick + snare + 0.2 * hiss * np.exp(-half * 60)


def _bass(time: np.ndarray, seed: int) -> np.ndarray:
    number, since = _note(time, BEAT)
    pitch = np.array([chord[0] / 4 for chord in CHORDS])[(number // 4 + seed) % len(CHORDS)]
    phase = 2 * np.pi * pitch * since
    return (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)) * np.exp(-since * 2.5)


def _chords(time: np.ndarray, seed: int) -> np.ndarray:
    number, since = _note(time, 4 * BEAT)
    chords = np.array(CHORDS)[(number + seed) % len(CHORDS)]
    sound = np.zeros_like(time)
    for voice in range(3):
        for detune in (-0.7, 0.7):
            phase = 2 * np.pi * (chords[:, voice] + detune) * since
            sound += sum(np.sin(harmonic * phase) / harmonic for harmonic in (1, 2, 3, 4, 6))
    return sound * np.minimum(since / 0.05, 1) * np.exp(-since * 0.4)
