"""Asks small random RoFormers of audio-separator what they give of a segment, and records it.

    .venv-networks/bin/python -m tests.golden.record_roformers FOLDER

The networks are written as ONNX files beside the values, by the exporter. `make parity-networks` runs it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tests.golden import networks
from tests.golden.networks import ROFORMER_FRAMES, ROFORMER_HOP, ROFORMER_N_FFT

_EXPORTER = Path("models/exporters/roformer.py")
_COMMON = {
    "dim": 8,
    "depth": 2,
    "stereo": True,
    "num_stems": 2,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 4,
    "heads": 2,
    "stft_n_fft": ROFORMER_N_FFT,
    "stft_hop_length": ROFORMER_HOP,
    "stft_win_length": ROFORMER_N_FFT,
}
#: What each is besides; bands of the first are as many bins as there are.
_KINDS: dict[str, dict[str, Any]] = {
    "bs": {"freqs_per_bands": [1, 2, 4, 8, 16, 34]},
    "mel": {"num_bands": 6, "sample_rate": 44_100},
}


def main(folder: Path) -> None:
    """Write networks and values into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _stand_in_for_librosa()
    exporter = _exporter()
    values: dict[str, Any] = {}
    for number, (name, more) in enumerate(_KINDS.items()):
        torch.manual_seed(number)
        config = {
            "audio": {"chunk_size": ROFORMER_HOP * (ROFORMER_FRAMES - 1)},
            "model": _COMMON | more,
            "training": {"instruments": ["Vocals", "Other"]},
        }
        model = exporter.create(config).eval()
        exporter.export(model, config, folder / f"{name}-roformer.onnx")
        mix = networks.mix(ROFORMER_HOP * (ROFORMER_FRAMES - 1)).T.copy()
        with torch.no_grad():
            values[name] = networks.kept(model(torch.from_numpy(mix)[None])[0].numpy())
    np.savez_compressed(folder / "roformers.npz", **values)


def _stand_in_for_librosa() -> None:
    """Offer bands that overlap as librosa's mel bands do; the real ones need many more packages."""

    def mel(*, sr: int, n_fft: int, n_mels: int) -> np.ndarray:
        centres = np.linspace(0, 1, n_mels)[:, None] ** 2
        distance = np.abs(np.linspace(0, 1, n_fft // 2 + 1)[None] - centres)
        return np.maximum(0, 0.45 - distance).astype(np.float32)

    librosa, filters = ModuleType("librosa"), ModuleType("librosa.filters")
    filters.mel = mel  # type: ignore[attr-defined]
    librosa.filters = filters  # type: ignore[attr-defined]
    sys.modules |= {"librosa": librosa, "librosa.filters": filters}


def _exporter() -> ModuleType:
    found = importlib.util.spec_from_file_location("roformer", _EXPORTER)
    assert found is not None
    assert found.loader is not None
    exporter = importlib.util.module_from_spec(found)
    found.loader.exec_module(exporter)
    return exporter


if __name__ == "__main__":
    main(Path(sys.argv[1]))
