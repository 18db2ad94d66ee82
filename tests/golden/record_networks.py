"""Asks Demucs, the MDX-Net loop of UVR and Open-Unmix what small random networks give, and records it.

    .venv-networks/bin/python -m tests.golden.record_networks FOLDER

The networks are written as ONNX files beside the values. `make parity-networks` runs it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

from tests.golden import networks
from tests.golden.networks import BAG, BINS, FRAMES, HOP, LENGTHS, N_FFT, SEGMENT, STEMS

#: What the packages import and these calls do not use.
_UNUSED = ("librosa", "onnx2torch", "onnxruntime", "pydub", "soundfile", "torchaudio")
_EXPORTER = Path("models/exporters/hybrid_demucs.py")


def main(folder: Path) -> None:
    """Write networks and values into the folder."""
    for name in _UNUSED:
        sys.modules.setdefault(name, MagicMock())
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {**demucs(folder), **mdx(folder), **unmix(folder)}
    np.savez_compressed(folder / "networks.npz", **values)
    versions = {"torch": torch.__version__}
    (folder / "networks.json").write_text(json.dumps(versions) + "\n")


def demucs(folder: Path) -> dict[str, np.ndarray]:
    """Return what `demucs.apply` gives: of a network, normalised as its separator does, and of a bag."""
    from demucs.apply import BagOfModels, apply_model
    from demucs.htdemucs import HTDemucs

    models = []
    for number in range(2):
        torch.manual_seed(number)
        arguments = {
            "sources": list(STEMS),
            "channels": 4,
            "dconv_comp": 2,
            "nfft": 1024,
            "t_layers": 2,
            "t_heads": 2,
            "bottom_channels": 16,
            "segment": Fraction(SEGMENT, 44_100),
        }
        model = HTDemucs(**arguments).eval()
        for name, weight in model.named_parameters():
            if name.endswith("scale"):  # else the layers behind it hardly matter
                torch.nn.init.uniform_(weight, 0.2, 0.8)
        checkpoint = folder / f"htdemucs-{number}.th"
        state = {"klass": HTDemucs, "args": (), "kwargs": arguments, "state": model.state_dict()}
        torch.save(state, checkpoint)
        command = [sys.executable, str(_EXPORTER), str(checkpoint), str(folder / f"htdemucs-{number}.onnx")]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        checkpoint.unlink()
        models.append(model)
    bag = BagOfModels(models, [list(weights) for weights in BAG])
    values = {}
    for length in LENGTHS:
        mix = torch.from_numpy(networks.mix(length).T.copy())
        values[f"htdemucs/{length}"] = _applied(apply_model, models[0], mix)
        values[f"bag/{length}"] = _applied(apply_model, bag, mix)
        if length > 1:  # Demucs' deviation of one sample is not a number
            reference = mix.mean(0)
            mean, deviation = reference.mean(), reference.std() + 1e-8
            stems = _applied(apply_model, models[0], (mix - mean) / deviation)
            values[f"normalised/{length}"] = stems * deviation.numpy() + mean.numpy()
    return values


def _applied(apply_model: Any, model: Any, mix: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return networks.kept(apply_model(model, mix[None], shifts=0, overlap=0.25)[0].numpy())


def mdx(folder: Path) -> dict[str, np.ndarray]:
    """Return what the loop of UVR's MDX-Net gives of a small network of convolutions."""
    # Its packages import what every architecture needs; this one alone needs none of that.
    package = ModuleType("audio_separator.separator")
    package.__path__ = [str(Path(entry) / "separator") for entry in import_module("audio_separator").__path__]
    sys.modules[package.__name__] = package
    sys.modules["audio_separator.separator.uvr_lib_v5.spec_utils"] = MagicMock()
    from audio_separator.separator.architectures.mdx_separator import MDXSeparator

    torch.manual_seed(2)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(6, 4, 3, padding=1)
    ).eval()
    spectrum = torch.randn(1, 4, BINS, FRAMES)
    _export(network, spectrum, folder / "mdx.onnx")
    loop = object.__new__(MDXSeparator)
    loop.logger = logging.getLogger("mdx")
    loop.n_fft, loop.hop_length, loop.dim_f, loop.segment_size = N_FFT, HOP, BINS, FRAMES
    loop.torch_device, loop.enable_denoise = torch.device("cpu"), False
    loop.model_run = lambda spectrum: network(spectrum).detach().numpy()
    loop.initialize_model_settings()
    values = {}
    for length in LENGTHS:
        waves, pad = loop.initialize_mix(networks.mix(length).T.copy())
        pieces = [loop.run_model(wave[None])[0][:, loop.trim : -loop.trim] for wave in waves]
        whole = np.concatenate(pieces, axis=-1)[:, :-pad][:, :length]
        values[f"mdx/{length}"] = networks.kept(whole[None] * np.float32(networks.COMPENSATION))
    return values


def unmix(folder: Path) -> dict[str, np.ndarray]:
    """Return what Open-Unmix gives of one segment, with soft masks and without its Wiener filter."""
    from openunmix.model import OpenUnmix, Separator

    torch.manual_seed(3)
    bins = N_FFT // 2 + 1
    targets = {
        name: OpenUnmix(nb_bins=bins, nb_channels=2, hidden_size=16, nb_layers=1, max_bin=300).eval()
        for name in ("vocals", "accompaniment")
    }
    separator = Separator(targets, niter=0, softmask=True, n_fft=N_FFT, n_hop=HOP, sample_rate=44_100).eval()

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.targets = torch.nn.ModuleList(targets.values())

        def forward(self, magnitude: torch.Tensor) -> torch.Tensor:
            return torch.stack([target(magnitude) for target in self.targets], 1)

    _export(Both().eval(), torch.rand(1, 2, bins, FRAMES), folder / "unmix.onnx")
    segment = networks.mix(HOP * (FRAMES - 1)).T
    with torch.no_grad():
        stems = separator(torch.from_numpy(segment[None].copy()))[0].numpy()
    return {"unmix": networks.kept(stems)}


def _export(network: torch.nn.Module, given: torch.Tensor, file: Path) -> None:
    torch.onnx.export(
        network,
        (given,),
        str(file),
        input_names=["mix"],
        output_names=["stems"],
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
