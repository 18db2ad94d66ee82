"""The demo song: sung words over chords, bass and drums, identical on every run; needs the extra ``demo``."""

from __future__ import annotations

import io
import math
import warnings
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stemline.testing.extras import ExtraMissing

try:
    import numpy as np
    import soxr

    from stemline.testing.voice import Signal, sing, speak
except ImportError as error:
    raise ExtraMissing(__name__, "demo") from error

if TYPE_CHECKING:
    from pydub import AudioSegment

RATE = 44_100
BEAT_S = 0.6
BARS = 10
_SAMPLES = int(BARS * 4 * BEAT_S * RATE)

#: MIDI notes of one chord a bar.
CHORDS = ((60, 64, 67), (55, 59, 62, 67), (57, 60, 64), (53, 57, 60, 65))
#: (bar and beat from the start, beats, MIDI note, syllable in eSpeak's phonemes or letters)
MELODY: Sequence[tuple[float, float, int, str]] = (
    (4, 1, 64, "take"), (5, 1, 67, "this"), (6, 2, 69, "song"),
    (8, 1, 67, "and"), (9, 1, 67, "take"), (10, 1, 71, "the"), (11, 1.5, 67, "voice"),
    (13, 1, 64, "a"), (14, 2, 72, "way"),
    (16, 1, 69, "leave"), (17, 1, 69, "the"), (18, 2, 72, "bass"),
    (20, 1, 71, "and"), (21, 1, 69, "leave"), (22, 1, 67, "the"), (23, 1.5, 67, "drums"),
    (25, 1, 67, "to"), (26, 2, 71, "play"),
    (28, 1, 72, "stem"), (29, 1, 71, "by"), (30, 2, 69, "stem"),
    (32, 1, 67, "and"), (33, 1, 67, "line"), (34, 1, 69, "by"), (35, 1.5, 71, "line"),
    (37, 0.5, 71, "to"), (37.5, 2.4, 72, "day"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Song:
    """A mix and its two parts, each the bytes of a 16-bit stereo wav file at 44.1 kHz.

    The parts add up to the mix.
    """

    mix: bytes
    voice: bytes
    background: bytes


def _hertz(note: float) -> float:
    return 440.0 * math.exp2((note - 69) / 12)


def _time(seconds: float) -> Signal:
    return np.arange(int(seconds * RATE)) / RATE


def _lay(track: Signal, at_s: float, sound: Signal) -> None:
    """Add a sound, (samples,) or (samples, 2), to a track, (samples, 2), in place."""
    begin = int(at_s * RATE)
    end = min(len(track), begin + len(sound))
    track[begin:end] += sound[: end - begin, None] if sound.ndim == 1 else sound[: end - begin]


def _tone(note: float, seconds: float, harmonics: Sequence[float], decay_s: float) -> Signal:
    t = _time(seconds)
    phase = 2 * np.pi * _hertz(note) * t
    tone: Signal = sum(
        (level * np.sin(order * phase + order) for order, level in enumerate(harmonics, 1)), np.zeros_like(t)
    )
    edge = np.minimum(1, np.minimum(t / 0.008, (seconds - t) / 0.03))
    return tone * np.exp(-t / decay_s) * edge


def _chords() -> Signal:
    track = np.zeros((_SAMPLES, 2))
    for bar in range(BARS):
        for index, note in enumerate(CHORDS[bar % 4]):
            pan = 0.3 + 0.4 * index / 3
            for half in (0, 2):
                key = _tone(note, 2 * BEAT_S, (1, 0.45, 0.2, 0.1, 0.05, 0.03), 0.9)
                detuned = _tone(note + 0.06, 2 * BEAT_S, (1, 0.45, 0.2, 0.1, 0.05, 0.03), 0.9)
                _lay(track, (bar * 4 + half) * BEAT_S, np.stack([key * (1 - pan), detuned * pan], 1))
    return track


def _bass() -> Signal:
    track = np.zeros((_SAMPLES, 2))
    pattern = ((0, 1.5, 0), (1.5, 0.5, 0), (2, 1, 7), (3, 1, 12))
    for bar in range(BARS):
        root = CHORDS[bar % 4][0] - 24
        for beat, beats, step in pattern:
            note = _tone(root + step, beats * BEAT_S, [1 / order**1.3 for order in range(1, 9)], 0.7)
            _lay(track, (bar * 4 + beat) * BEAT_S, note)
    return track


def _drums() -> Signal:
    track = np.zeros((_SAMPLES, 2))
    noise = np.random.default_rng(4).standard_normal(RATE)
    hiss = np.diff(noise, n=2, prepend=[0.0, 0.0])
    t = _time(0.35)
    kick = np.sin(2 * np.pi * (45 * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.12)
    snare = (noise[: len(t)] * 0.35 + 0.5 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.07)
    hat = hiss[: len(t)] * np.exp(-t / 0.025) * 0.12
    open_hat = hiss[: len(t)] * np.exp(-t / 0.12) * 0.1
    for bar in range(BARS):
        for beat in (0, 2, 2.5):
            _lay(track, (bar * 4 + beat) * BEAT_S, kick)
        for beat in (1, 3):
            _lay(track, (bar * 4 + beat) * BEAT_S, snare)
        for eighth in range(8):
            sound = open_hat if eighth == 7 else hat
            _lay(track, (bar * 4 + eighth / 2) * BEAT_S, np.stack([sound * 0.6, sound], 1))
    return track


def _voice() -> Signal:
    track = np.zeros((_SAMPLES, 2))
    rate, syllables = speak([syllable for _, _, _, syllable in MELODY])
    for said, (beat, beats, note, _) in zip(syllables, MELODY, strict=True):
        sung = sing(said, rate, _hertz(note), beats * BEAT_S * 0.95)
        sung *= 0.12 / (np.sqrt(np.mean(sung**2)) + 1e-9)
        _lay(track, beat * BEAT_S, soxr.resample(sung, rate, RATE))
    return track + _room(track)


def _room(track: Signal) -> Signal:
    """Return the reverberation of a small room: the track convolved with half a second of decaying noise."""
    t = _time(0.5)
    tail = np.random.default_rng(7).standard_normal((len(t), 2)) * (np.exp(-t / 0.12) * 0.012)[:, None]
    size = 1 << (_SAMPLES + len(t)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(track, size, axis=0) * np.fft.rfft(tail, size, axis=0), axis=0)
    return np.asarray(wet[:_SAMPLES])


def _segment(track: Signal, peak_dbfs: float) -> AudioSegment:
    """Return a track as a pydub segment whose peak has the given level, dBFS."""
    with warnings.catch_warnings():
        # pydub warns at its import if there is no ffmpeg, which wav files do not need.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment  # noqa: PLC0415 - it searches PATH at its import

    scaled = track / np.max(np.abs(track)) * 10 ** (peak_dbfs / 20) * 32767
    return AudioSegment(np.round(scaled).astype("<i2").tobytes(), sample_width=2, frame_rate=RATE, channels=2)


def _wav(segment: Any) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, RATE, 0, "NONE", ""))
        writer.writeframes(segment.raw_data)
    return file.getvalue()


def demo_song() -> Song:
    """Make the song, 24 s long."""
    voice = _segment(_voice(), -7.5)
    background = _segment(_chords(), -15).overlay(_segment(_bass(), -15)).overlay(_segment(_drums(), -12))
    return Song(mix=_wav(background.overlay(voice)), voice=_wav(voice), background=_wav(background))
