"""Mixes of different kinds whose voice and background are known, made by code; needs the extra `demo`.

Each is a voice (sung, spoken, doubled, a choir, a whisper, ...) over a background (plucked strings, drums,
bass, pads, noise, bells, ...). The voices are eSpeak NG's, which ends at 11 kHz: above, consonants are
continued by noise that follows the loudness of the voice's highest octave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from stemline.testing.song import BARS, BEAT_S, CHORDS, MELODY, RATE
from stemline.testing.voice import sing, speak

#: Seconds of each mix.
SECONDS = 12
_SAMPLES = SECONDS * RATE
_SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "She sells sea shells on the sunny shore.",
    "Six thick thistle sticks stand still.",
    "How much wood would a woodchuck chuck?",
)

Signal = NDArray[np.float64]


class Mix(NamedTuple):
    """One mix: its name in tables, and its parts, each (samples, 2) float32 at 44.1 kHz."""

    name: str
    voice: NDArray[np.float32]
    background: NDArray[np.float32]


def mixes() -> Iterator[Mix]:
    """Yield every mix."""
    for name, (voice, parts, gain_db) in _KINDS.items():
        background = sum((_level(part(), -20.0) for part in parts), np.zeros((_SAMPLES, 2)))
        sung = _level(_recorded(voice(), 1), -20.0) * 10 ** (gain_db / 20)
        background = _level(_recorded(background, 2), -20.0)
        peak = np.abs(sung + background).max() / 0.9
        yield Mix(name, (sung / peak).astype(np.float32), (background / peak).astype(np.float32))


# -- voices


@cache
def _spoken_texts(texts: tuple[str, ...]) -> tuple[int, list[Signal]]:
    return speak(texts)


@cache
def _melody(semitones: float = 0.0) -> Signal:
    """Return the demo's melody, sung, (samples,)."""
    track = np.zeros(_SAMPLES)
    rate, syllables = _spoken_texts(tuple(syllable for _, _, _, syllable in MELODY))
    for said, (beat, beats, note, _) in zip(syllables, MELODY, strict=True):
        sung = sing(said, rate, _hertz(note + semitones), beats * BEAT_S * 0.95)
        sound = soxr.resample(sung / np.sqrt(np.mean(sung**2)), rate, RATE)
        at = int((beat - 4) * BEAT_S * RATE)
        track[at : at + len(sound)] += sound[: max(0, _SAMPLES - at)]
    return track + _air(track)


def _air(voice: Signal) -> Signal:
    """Return noise from 11 to 17 kHz as loud as the voice is from 7 to 11 kHz, by windows of 6 ms."""
    envelope = np.sqrt(_smooth(_band(voice, 7000, 11_000) ** 2, 256))
    noise = _band(_noise(11), 11_000, 17_000)
    return np.asarray(0.7 * envelope * noise / np.std(noise))


def _sung() -> Signal:
    return _room(_pan(_melody()))


def _low() -> Signal:
    return _room(_pan(_melody(-9.0)))


def _dry() -> Signal:
    return _pan(_melody(-3.0))


def _choir() -> Signal:
    parts = [(_melody(shift), place) for shift, place in ((0, 0.5), (-5, 0.25), (-8, 0.75), (4, 0.6))]
    return _room(np.sum([_pan(part, place) for part, place in parts], axis=0), 0.03)


def _doubled() -> Signal:
    """Return two takes, wide apart."""
    late = np.roll(_melody(0.12), round(0.018 * RATE))
    return _pan(_melody(), 0.15) + _pan(late, 0.85)


def _spoken() -> Signal:
    track = np.zeros(_SAMPLES)
    rate, sentences = _spoken_texts(_SENTENCES)
    for number in range(SECONDS // 4):
        sound = soxr.resample(sentences[number % len(sentences)], rate, RATE)
        at = number * 4 * RATE + RATE // 4
        track[at : at + len(sound)] += sound[: max(0, _SAMPLES - at)]
    return _pan(track + _air(track))


def _whispered() -> Signal:
    """Return speech whose voicing is replaced by noise under the same spectrum."""
    spoken = _spoken()[:, 0]
    noise = _noise(5)
    size, hop = 1024, 256
    out = np.zeros(_SAMPLES + size)
    window = np.hanning(size)
    for at in range(0, _SAMPLES - size, hop):
        envelope = np.abs(np.fft.rfft(spoken[at : at + size] * window))
        envelope = np.convolve(envelope, np.hanning(9) / np.hanning(9).sum(), "same")
        phases = np.exp(1j * np.angle(np.fft.rfft(noise[at : at + size] * window)))
        out[at : at + size] += np.fft.irfft(envelope * phases) * window
    return _pan(out[:_SAMPLES])


# -- backgrounds


def _plucked() -> Signal:
    """Return broken chords of plucked strings (Karplus-Strong)."""
    track = np.zeros((_SAMPLES, 2))
    rng = np.random.default_rng(2)
    for number in range(int(_SAMPLES / RATE / (BEAT_S / 2))):
        chord = CHORDS[number // 8 % 4]
        period = round(RATE / _hertz(chord[number % len(chord)] - 12 * (number % 8 == 0)))
        string = rng.uniform(-1, 1, period)
        turns = []
        for _ in range(int(0.9 * RATE / period)):
            turns.append(string)
            string = 0.4975 * (string + np.roll(string, 1))
        _lay(track, number * BEAT_S / 2, _pan(np.concatenate(turns), 0.3 + 0.4 * (number % 2)))
    return track


def _drums() -> Signal:
    track = np.zeros((_SAMPLES, 2))
    noise = _noise(4)
    t = np.arange(round(0.35 * RATE)) / RATE
    hiss = np.diff(noise, n=2, prepend=[0.0, 0.0])[: len(t)]
    kick = np.sin(2 * np.pi * (45 * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.12)
    snare = (0.4 * noise[: len(t)] + 0.5 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.08)
    for eighth in range(int(SECONDS / BEAT_S * 2)):
        at = eighth * BEAT_S / 2
        if eighth % 4 == 0:
            _lay(track, at, _pan(kick))
        if eighth % 4 == 2:
            _lay(track, at, _pan(snare, 0.55))
        _lay(track, at, _pan(0.15 * hiss * np.exp(-t / (0.12 if eighth % 8 == 7 else 0.03)), 0.65))
    return track


def _cymbals() -> Signal:
    """Return a ride on every beat and a shaker on every sixteenth: mostly above 6 kHz."""
    track = np.zeros((_SAMPLES, 2))
    noise = _band(_noise(8), 6000, 18_000)
    t = np.arange(round(0.6 * RATE)) / RATE
    ride = noise[: len(t)] * np.exp(-t / 0.25)
    shake = noise[RATE : RATE + len(t)] * np.exp(-t / 0.02) * np.minimum(t / 0.01, 1)
    for sixteenth in range(int(SECONDS / BEAT_S * 4)):
        at = sixteenth * BEAT_S / 4
        if sixteenth % 4 == 0:
            _lay(track, at, _pan(ride, 0.3))
        _lay(track, at, _pan(shake, 0.7))
    return track


def _bass() -> Signal:
    return _pan(_sequence(lambda note, t: _saw(_hertz(note - 24), t, 8) * np.exp(-t / 0.4), BEAT_S))


def _kick_bass() -> Signal:
    """Return an 808: a long sine that falls at the start of each bar's halves."""
    t = np.arange(_SAMPLES) / RATE % (2 * BEAT_S)
    tone = np.sin(2 * np.pi * (48 * t + 4 * (1 - np.exp(-20 * t)))) * np.exp(-1.5 * t)
    return _pan(np.tanh(2 * tone))


def _pad() -> Signal:
    """Return chords of detuned saws under a slow filter, wide."""
    sides = []
    for side in (0, 1):
        chord = np.zeros(_SAMPLES)
        for detune in (-0.08, 0.03, 0.09):
            chord += _chords(lambda hertz, t: _saw(hertz, t, 24), detune + 0.02 * side)
        sides.append(chord)
    return np.stack(sides, axis=1)


def _piano() -> Signal:
    def key(hertz: float, t: Signal) -> Signal:
        partials = (
            np.sin(2 * np.pi * hertz * n * t * np.sqrt(1 + 3e-4 * n * n)) * np.exp(-t * (1 + n)) / n
            for n in range(1, 12)
        )
        return np.asarray(sum(partials))

    left = _chords(key, 0.0, BEAT_S)
    return np.stack([left, 0.8 * np.roll(left, 20)], axis=1)


def _bells() -> Signal:
    """Return notes by frequency modulation, bright at the start."""

    def bell(note: int, t: Signal) -> Signal:
        hertz = _hertz(note + 12)
        index = 6 * np.exp(-t / 0.3)
        return np.asarray(
            np.sin(2 * np.pi * hertz * t + index * np.sin(2 * np.pi * 3.5 * hertz * t)) * np.exp(-t / 0.8)
        )

    return _room(_pan(_sequence(bell, BEAT_S), 0.6), 0.02)


def _guitar() -> Signal:
    """Return distorted fifths, which fill the spectrum."""

    def fifth(hertz: float, t: Signal) -> Signal:
        return np.asarray(_saw(hertz / 2, t, 12) + _saw(0.75 * hertz, t, 12))

    tone = np.tanh(4 * _chords(fifth, 0.0, BEAT_S))
    return np.stack([tone, np.roll(tone, 400)], axis=1)


def _strings() -> Signal:
    def bowed(hertz: float, t: Signal) -> Signal:
        swing = 1 + 0.004 * np.sin(2 * np.pi * 5.2 * t)
        return np.asarray(_saw(hertz, np.cumsum(swing) / RATE, 18) * np.minimum(t / 0.2, 1))

    return _room(np.stack([_chords(bowed, 0.0), _chords(bowed, 0.1)], axis=1), 0.03)


def _sea() -> Signal:
    """Return noise as of surf, which swells and ebbs, independent on both sides."""
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * np.arange(_SAMPLES) / RATE / 5)
    sides = []
    for seed in (21, 22):
        spectrum = np.fft.rfft(_noise(seed))
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 50))
        sides.append(np.fft.irfft(spectrum, _SAMPLES) * swell)
    return np.stack(sides, axis=1)


def _hall() -> Signal:
    """Return the murmur of a crowd: many voices backwards, at other speeds and places."""
    spoken = _spoken()[:, 0]
    rng = np.random.default_rng(31)
    track = np.zeros((_SAMPLES, 2))
    for _ in range(24):
        speed = rng.uniform(0.7, 1.4)
        other = np.interp(np.arange(_SAMPLES) * speed % (_SAMPLES - 1), np.arange(_SAMPLES), spoken[::-1])
        track += _pan(np.roll(other, rng.integers(_SAMPLES)), rng.uniform())
    return _room(track, 0.05)


#: Voice, the parts of the background, and the voice's loudness above the background, dB.
_KINDS: dict[str, tuple[Callable[[], Signal], tuple[Callable[[], Signal], ...], float]] = {
    "sung, piano": (_sung, (_piano,), 0.0),
    "sung, plucked strings": (_dry, (_plucked,), -2.0),
    "sung, drums": (_sung, (_drums,), 0.0),
    "sung, cymbals": (_dry, (_cymbals, _bass), -3.0),
    "sung, pad": (_sung, (_pad,), -3.0),
    "sung, band": (_sung, (_drums, _bass, _piano), -3.0),
    "low voice, 808 and bells": (_low, (_kick_bass, _bells), -2.0),
    "low voice, strings": (_low, (_strings,), -4.0),
    "doubled, band": (_doubled, (_drums, _bass, _plucked), -2.0),
    "doubled, guitars": (_doubled, (_guitar, _drums), -5.0),
    "choir, strings and bass": (_choir, (_strings, _bass), 0.0),
    "spoken, sea": (_spoken, (_sea,), 0.0),
    "spoken, piano and pad": (_spoken, (_piano, _pad), 2.0),
    "whispered, plucked strings": (_whispered, (_plucked,), -2.0),
    "sung, crowd": (_sung, (_hall,), 0.0),
}


# -- tools


def _hertz(note: float) -> float:
    return float(440.0 * 2 ** ((note - 69) / 12))


@cache
def _noise(seed: int) -> Signal:
    return np.random.default_rng(seed).standard_normal(_SAMPLES)


def _band(signal: Signal, low: float, high: float) -> Signal:
    """Return the part of a signal between two frequencies, Hz."""
    spectrum = np.fft.rfft(signal)
    frequency = np.fft.rfftfreq(len(signal), 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    return np.asarray(np.fft.irfft(spectrum, len(signal)))


def _smooth(signal: Signal, width: int) -> Signal:
    return np.convolve(signal, np.ones(width) / width, "same")


def _pan(mono: Signal, right: float = 0.5) -> Signal:
    return np.asarray(np.stack([mono * np.cos(right * np.pi / 2), mono * np.sin(right * np.pi / 2)], axis=1))


def _lay(track: Signal, at_s: float, sound: Signal) -> None:
    begin = int(at_s * RATE)
    end = min(len(track), begin + len(sound))
    track[begin:end] += sound[: end - begin]


def _saw(hertz: float, t: Signal, partials: int) -> Signal:
    return np.asarray(sum(np.sin(2 * np.pi * hertz * n * t) / n for n in range(1, partials + 1)))


def _sequence(note: Callable[[int, Signal], Signal], length_s: float) -> Signal:
    """Return one note of the chord after another."""
    track = np.zeros(_SAMPLES)
    t = np.arange(round(length_s * RATE)) / RATE
    for number in range(int(SECONDS / length_s)):
        chord = CHORDS[number // 4 % 4]
        at = number * len(t)
        track[at : at + len(t)] = note(chord[number % len(chord)], t) * _edges(t)
    return track


def _chords(
    tone: Callable[[float, Signal], Signal], detune: float = 0.0, length_s: float = 4 * BEAT_S
) -> Signal:
    """Return the chords of the demo, all notes at once."""
    track = np.zeros(_SAMPLES)
    t = np.arange(round(length_s * RATE)) / RATE
    for number in range(int(SECONDS / length_s)):
        bar = int(number * length_s / (4 * BEAT_S)) % BARS
        sound = sum((tone(_hertz(note + detune), t) for note in CHORDS[bar % 4]), np.zeros_like(t))
        track[number * len(t) : (number + 1) * len(t)] = sound * _edges(t)
    return track


def _edges(t: Signal) -> Signal:
    return np.asarray(np.minimum(1, np.minimum(t / 0.006, (t[-1] - t) / 0.02)))


def _room(track: Signal, wet: float = 0.012) -> Signal:
    """Return the track with the reverberation of a room: decaying noise."""
    t = np.arange(RATE // 2) / RATE
    tail = np.random.default_rng(7).standard_normal((len(t), 2)) * (np.exp(-t / 0.15) * wet)[:, None]
    size = 1 << (_SAMPLES + len(t)).bit_length()
    wave = np.fft.irfft(np.fft.rfft(track, size, axis=0) * np.fft.rfft(tail, size, axis=0), axis=0)
    return np.asarray(track + wave[:_SAMPLES])


def _recorded(track: Signal, seed: int) -> Signal:
    """Return the track in a room, with hiss 60 dB below it.

    BSS Eval has no answer where both channels tell the same, or a spectrum has gaps.
    """
    hiss = np.random.default_rng(seed).standard_normal(track.shape)
    return _level(_room(track, 0.002), 0.0) + 1e-3 * hiss


def _level(track: Signal, decibels: float) -> Signal:
    """Return a track of the given loudness (RMS), dBFS."""
    return np.asarray(track * 10 ** (decibels / 20) / np.sqrt(np.mean(track**2)))
