"""A singing voice: eSpeak NG speaks each syllable on one tone, and the tone is moved to the melody's."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]

_SYNCHRONOUS = 2
_RATE, _PITCH, _RANGE, _GAP = 1, 3, 4, 7
_UTF8, _PHONEMES = 1, 0x100
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """eSpeak NG from its wheel, in this process.

    Attributes:
        rate: sampling rate of what it says, Hz.
    """

    def __init__(self, voice: str = "en-us+f2") -> None:
        import espeakng_loader  # noqa: PLC0415 - an extra of the demo

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
        )
        if self.rate <= 0:
            raise RuntimeError("eSpeak NG did not start")
        self._library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in ((_RATE, 110), (_PITCH, 50), (_RANGE, 0), (_GAP, 0)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def say(self, text: str) -> Signal:
        """The samples of a spoken text, (samples,), without the silence around it."""
        chunks: list[npt.NDArray[np.int16]] = []

        def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
            if count:
                chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        # Consonants are made of random noise: the same noise every time.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        callback = _CALLBACK(take)
        self._library.espeak_SetSynthCallback(callback)
        spoken = text.encode()
        self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, _UTF8 | _PHONEMES, None, None)
        self._library.espeak_Synchronize()
        signal = np.concatenate(chunks).astype(np.float64) / 32768
        loud = np.flatnonzero(np.abs(signal) > 0.004)
        return signal[loud[0] : loud[-1] + 1]


@cache
def speaker() -> Speaker:
    """The one of this process: the library keeps its state in globals."""
    return Speaker()


def period_of(signal: Signal, rate: int) -> int:
    """The pitch period of a monotone signal, in samples: its autocorrelation's peak between 90 and 350 Hz."""
    spectrum = np.fft.rfft(signal, 2 * len(signal))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = rate // 350, rate // 90
    return low + int(np.argmax(correlation[low:high]))


def sing(signal: Signal, rate: int, pitch_hz: float, length_s: float) -> Signal:
    """Move a monotone syllable to a pitch and a length (TD-PSOLA: grains of two periods, laid anew).

    Its first and last 70 ms, the consonants, keep their pace; what lies between is stretched. After a
    quarter of a second the tone swings by a quarter of a semitone, five and a half times a second.
    """
    period = period_of(signal, rate)
    window = np.hanning(2 * period + 1)
    padded = np.pad(signal, (period, 2 * period))
    length = int(length_s * rate)
    edge = min(int(0.07 * rate), len(signal) // 3, length // 3)
    out = np.zeros(length + 4 * period)
    at = 0.0
    while at < length:
        # Where this moment of the note lies in the spoken syllable, on a grid of whole periods.
        if at < edge:
            source = at
        elif at > length - edge:
            source = len(signal) - (length - at)
        else:
            source = edge + (at - edge) * (len(signal) - 2 * edge) / max(1, length - 2 * edge)
        start = min(round(source / period), (len(signal) - 1) // period) * period
        grain = padded[start : start + 2 * period + 1] * window
        begin = int(at)
        out[begin : begin + len(grain)] += grain
        seconds = at / rate
        depth = 0.25 * min(1.0, max(0.0, (seconds - 0.25) * 4))
        swing = depth * np.sin(2 * np.pi * 5.5 * seconds)
        at += rate / (pitch_hz * 2 ** (swing / 12))
    out = out[:length]
    fade = min(int(0.03 * rate), length // 2)
    out[-fade:] *= np.linspace(1, 0, fade)
    return out
