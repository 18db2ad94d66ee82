"""A singing voice: eSpeak NG speaks each syllable, which is then moved to the pitch and length of a note.

Needs the extra ``demo``.
"""

from __future__ import annotations

import ctypes
import io
import json
import subprocess
import sys
from collections.abc import Sequence

from stemline.testing.extras import ExtraMissing

try:
    import espeakng_loader
    import numpy as np
    import numpy.typing as npt
except ImportError as error:
    raise ExtraMissing(__name__, "demo") from error

Signal = npt.NDArray[np.float64]

_SYNCHRONOUS = 2
_RATE, _PITCH, _RANGE, _GAP = 1, 3, 4, 7
_UTF8, _PHONEMES = 1, 0x100
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """Speaks single syllables in this process; what it says depends on everything said before.

    Attributes:
        rate: Sampling rate of its output, Hz.
    """

    def __init__(self, voice: str = "en-us+f2") -> None:
        """Load eSpeak NG into this process.

        Args:
            voice: One of its voices.

        Raises:
            RuntimeError: It does not start.
        """
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
        """Speak a text; return its samples, (samples,), without the silence around it."""
        chunks: list[npt.NDArray[np.int16]] = []

        def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
            if count:
                chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        # Consonants are synthesised from random noise; a fixed seed makes them identical on every run.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        callback = _CALLBACK(take)
        self._library.espeak_SetSynthCallback(callback)
        spoken = text.encode()
        self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, _UTF8 | _PHONEMES, None, None)
        self._library.espeak_Synchronize()
        signal = np.concatenate(chunks).astype(np.float64) / 32768
        loud = np.flatnonzero(np.abs(signal) > 0.004)
        return signal[loud[0] : loud[-1] + 1]


def speak(texts: Sequence[str]) -> tuple[int, list[Signal]]:
    """Return the sampling rate, Hz, and the samples of each text, (samples,); the same on every call.

    eSpeak NG keeps state in globals that nothing resets, so a process of its own speaks the texts.
    """
    program = f"from {__name__} import speak_for_parent; speak_for_parent()"
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(texts).encode(), check=True, stdout=subprocess.PIPE
    )
    with np.load(io.BytesIO(done.stdout)) as archive:
        return int(archive["rate"]), [archive[f"text{number}"] for number in range(len(texts))]


def speak_for_parent() -> None:
    """Speak the texts of the standard input, a JSON list; write the samples to the standard output."""
    speaker = Speaker()
    spoken = {f"text{number}": speaker.say(text) for number, text in enumerate(json.load(sys.stdin))}
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, rate=np.int64(speaker.rate), **spoken)
    sys.stdout.buffer.write(archive.getvalue())


def period_of(signal: Signal, rate: int) -> int:
    """Return the pitch period of a monotone signal, in samples.

    It is the peak of the autocorrelation between 90 and 350 Hz.
    """
    spectrum = np.fft.rfft(signal, 2 * len(signal))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = rate // 350, rate // 90
    return low + int(np.argmax(correlation[low:high]))


def sing(signal: Signal, rate: int, pitch_hz: float, length_s: float) -> Signal:
    """Move a monotone syllable to a pitch and a length with TD-PSOLA: grains of two periods, placed anew.

    The first and last 70 ms, the consonants, keep their duration; the rest is stretched. After a quarter of
    a second the pitch has a vibrato of a quarter of a semitone at 5.5 Hz.

    Args:
        signal: The syllable, (samples,).
        rate: Its sampling rate, Hz.
        pitch_hz: Pitch of the result.
        length_s: Length of the result, s.

    Returns:
        The note, (samples,), at the same rate.
    """
    period = period_of(signal, rate)
    window = np.hanning(2 * period + 1)
    padded = np.pad(signal, (period, 2 * period))
    length = int(length_s * rate)
    edge = min(int(0.07 * rate), len(signal) // 3, length // 3)
    out = np.zeros(length + 4 * period)
    at = 0.0
    while at < length:
        # The position in the spoken syllable, on a grid of whole periods.
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
