"""Separates a WAV file with sherpa-onnx; runs in an environment of its own.

python -m benchmarks.sherpa_run VOCALS ACCOMPANIMENT SONG FOLDER
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import sherpa_onnx


def main(vocals: str, accompaniment: str, song: str, folder: str) -> None:
    spleeter = sherpa_onnx.OfflineSourceSeparationSpleeterModelConfig(vocals, accompaniment)
    model = sherpa_onnx.OfflineSourceSeparationModelConfig(spleeter=spleeter, num_threads=2)
    separation = sherpa_onnx.OfflineSourceSeparation(sherpa_onnx.OfflineSourceSeparationConfig(model))
    with wave.open(song) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    found = separation.process(44_100, np.ascontiguousarray(samples.T, np.float32) / 32768)
    Path(folder).mkdir(exist_ok=True)
    for name, stem in zip(("vocals", "accompaniment"), found.stems, strict=True):
        data = (np.clip(stem.data, -1, 32767 / 32768).T * 32768).astype("<i2")
        with wave.open(str(Path(folder, f"{name}.wav")), "wb") as file:
            file.setparams((2, 2, found.sample_rate, 0, "NONE", ""))
            file.writeframes(data.tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
