"""Asks small random RoFormers of audio-separator, and its loop around them, what they give, and records it.

    .venv-networks/bin/python -m tests.golden.record_roformers FOLDER

The networks are written as ONNX files beside the values, by the exporter. `make parity-networks` runs it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch.nn import functional

from tests.golden import networks
from tests.golden.networks import (
    ROFORMER_FRAMES,
    ROFORMER_HOP,
    ROFORMER_LENGTHS,
    ROFORMER_N_FFT,
    ROFORMER_OVERLAPS,
)

_EXPORTER = Path("models/exporters/roformer.py")
#: Modules that the loop's own imports, and nothing of which it uses here.
_UNUSED = ("execution_policy", "uvr_lib_v5.spec_utils", "uvr_lib_v5.tfc_tdf_v3")
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
    stand_in_for_librosa(_bands)
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
        if name == "bs":
            export_waves(exporter.Spectra(model).eval(), folder / "bs-roformer-waves.onnx")
        mix = networks.mix(ROFORMER_HOP * (ROFORMER_FRAMES - 1)).T.copy()
        with torch.no_grad():
            values[name] = networks.kept(model(torch.from_numpy(mix)[None])[0].numpy())
        for overlap in ROFORMER_OVERLAPS:
            for length in ROFORMER_LENGTHS:
                stems = _tracks(model, config, networks.mix(length).T.copy(), overlap)
                values[f"{name}/{overlap}/{length}"] = networks.kept(stems)
    np.savez_compressed(folder / "roformers.npz", **values)


class Waves(torch.nn.Module):
    """A network of spectra with its transforms: (1, 2, samples) to (1, stems, 2, samples).

    Such graphs are what programs write that export RoFormers whole; the transforms are convolutions.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        size, bins = ROFORMER_N_FFT, ROFORMER_N_FFT // 2 + 1
        angles = 2 * torch.pi * torch.arange(bins)[:, None] * torch.arange(size)[None] / size
        window = torch.hann_window(size, dtype=torch.float64)
        parts = torch.cat([angles.double().cos(), -angles.double().sin()])[:, None]
        weights = torch.full((bins,), 2.0, dtype=torch.float64)
        weights[[0, -1]] = 1.0
        self.register_buffer("forwards", (parts * window).float())
        self.register_buffer("backwards", (parts * window * weights.repeat(2)[:, None, None] / size).float())
        total = functional.conv_transpose1d(
            torch.ones(1, 1, ROFORMER_FRAMES, dtype=torch.float64),
            window.square()[None, None],
            stride=ROFORMER_HOP,
        )
        self.register_buffer("total", total.clamp(min=1e-11).float())

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Return the stems."""
        half, bins = ROFORMER_N_FFT // 2, ROFORMER_N_FFT // 2 + 1
        padded = functional.pad(mix, (half, half), mode="reflect")
        parts = functional.conv1d(padded.reshape(2, 1, -1), self.forwards, stride=ROFORMER_HOP)
        spectra = self.network(parts.reshape(1, 4, bins, ROFORMER_FRAMES))
        rows = spectra.reshape(-1, 2 * bins, ROFORMER_FRAMES)
        waves = functional.conv_transpose1d(rows, self.backwards, stride=ROFORMER_HOP) / self.total
        return waves[..., half : half + mix.shape[-1]].reshape(1, -1, 2, mix.shape[-1])


def export_waves(network: torch.nn.Module, file: Path) -> None:
    """Write a network of spectra with its transforms."""
    torch.onnx.export(
        Waves(network).eval(),
        (torch.zeros(1, 2, ROFORMER_HOP * (ROFORMER_FRAMES - 1)),),
        str(file),
        input_names=["mix"],
        output_names=["stems"],
        opset_version=17,
        dynamo=False,
    )


def _tracks(model: Any, config: dict[str, Any], mix: np.ndarray, overlap: int) -> np.ndarray:
    """Return the stems (stems, 2, samples) of a track by the loop of audio-separator's own separator."""
    os.environ["TQDM_DISABLE"] = "1"  # its progress says nothing here
    scipy = ModuleType("scipy")
    # Its formula is numpy's; the package is large, and nothing else of it is used here.
    scipy.signal = SimpleNamespace(windows=SimpleNamespace(hamming=np.hamming))  # type: ignore[attr-defined]
    unused = ("ml_collections", *(f"audio_separator.separator.{name}" for name in _UNUSED))
    sys.modules |= {"scipy": scipy} | {name: MagicMock() for name in unused}
    common = ModuleType("common_separator")
    common.CommonSeparator = object  # type: ignore[attr-defined]
    sys.modules["audio_separator.separator.common_separator"] = common
    from audio_separator.separator.architectures.mdxc_separator import MDXCSeparator

    loop = object.__new__(MDXCSeparator)
    loop.logger, loop.model_run, loop.overlap, loop.pitch_shift = MagicMock(), model, overlap, 0
    loop.is_roformer, loop.override_model_segment_size = True, False
    loop.is_primary_stem_main_target = False
    names = config["training"]["instruments"]
    loop.model_data_cfgdict = SimpleNamespace(
        model=SimpleNamespace(**config["model"]),
        inference=SimpleNamespace(dim_t=ROFORMER_FRAMES),
        training=SimpleNamespace(target_instrument=None, instruments=names),
    )
    stems = loop.demix(mix)
    return np.stack([stems[name] for name in names])


def stand_in_for_librosa(mel: Callable[..., np.ndarray]) -> None:
    """Offer the bands of librosa's function `mel`; the real package needs many more."""
    librosa, filters = ModuleType("librosa"), ModuleType("librosa.filters")
    filters.mel = mel  # type: ignore[attr-defined]
    librosa.filters = filters  # type: ignore[attr-defined]
    sys.modules |= {"librosa": librosa, "librosa.filters": filters}


def _bands(*, sr: int, n_fft: int, n_mels: int) -> np.ndarray:  # librosa's arguments
    """Return few bands that overlap as mel bands do."""
    centres = np.linspace(0, 1, n_mels)[:, None] ** 2
    distance = np.abs(np.linspace(0, 1, n_fft // 2 + 1)[None] - centres)
    return np.maximum(0, 0.45 - distance).astype(np.float32)


def _exporter() -> ModuleType:
    found = importlib.util.spec_from_file_location("roformer", _EXPORTER)
    assert found is not None
    assert found.loader is not None
    exporter = importlib.util.module_from_spec(found)
    found.loader.exec_module(exporter)
    return exporter


if __name__ == "__main__":
    main(Path(sys.argv[1]))
