"""Writes the network of a RoFormer checkpoint as ONNX: the spectrum of the mix in, those of the stems out.

Run by `stemline models export roformer`, with a Python that has torch, audio-separator and onnx:

    python roformer.py CHECKPOINT CONFIG FILE

Band-Split RoFormer (Lu et al., 2023) and Mel-Band RoFormer (Wang et al., 2023) transform the waveform, and
multiply its spectrum with complex masks. The exported network begins behind the transform and ends before its
inverse, which Stemline does, and multiplies the parts of the complex numbers, which ONNX does not know.
Prints a line of JSON: the stems, the transform, and the largest difference of the graph to the model.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml

#: ONNX's set of operators.
_OPSET = 17
#: Most that the graph may differ from the model where it is exported, of a mix with deviation 1.
_MAX_DIFFERENCE = 1e-4
#: Options that change what a network computes, and were not tried.
_REFUSED = ("linear_transformer_depth", "skip_connection", "stft_normalized")
_FIXED = {"linear_transformer_depth": 0, "flash_attn": False}


def main() -> None:
    """Read a checkpoint, write the graph, compare both on noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("checkpoint", "config", "file"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    try:
        config = read_config(options.config)
        model = load(options.checkpoint, config)
        about = export(model, config, options.file)
    except ValueError as error:
        sys.exit(str(error))
    except KeyError as error:
        sys.exit(f"{options.config} has no {error.args[0]}")
    sys.stdout.write(json.dumps(about) + "\n")


def read_config(path: Path) -> Mapping[str, Any]:
    """Return the YAML that is published with a checkpoint.

    Raises:
        ValueError: It is none.
    """

    class Loader(yaml.SafeLoader):
        """Reads tuples as the training programs write them, and no other object of Python."""

    def sequence(loader: Loader, node: Any) -> Any:
        return loader.construct_sequence(node)

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", sequence)
    try:
        config = yaml.load(path.read_text(), Loader)  # noqa: S506 - a safe loader # nosec B506
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no YAML: {reason}") from error
    parts = ("audio", "model", "training")
    if not isinstance(config, dict) or not all(isinstance(config.get(part), dict) for part in parts):
        raise ValueError(f"{path} has not the parts {', '.join(parts)}.")
    return config


def load(checkpoint: Path, config: Mapping[str, Any]) -> Any:
    """Return the model of a checkpoint, which is a state of weights alone.

    Raises:
        ValueError: It is something else, or a variant that cannot be exported.
    """
    model = create(config)
    try:
        state = torch.load(checkpoint, "cpu", weights_only=True)
        state = state.get("state_dict", state) if isinstance(state, dict) else {}
        model.load_state_dict({name: value.float() for name, value in state.items()})
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{checkpoint} has not the weights of its configuration: {reason}") from error
    return model.eval()


def create(config: Mapping[str, Any]) -> Any:
    """Return the model of a configuration, with weights of chance.

    Raises:
        ValueError: It is a variant that cannot be exported.
    """
    options = dict(config["model"])
    kind = _roformer("mel_band" if "num_bands" in options else "bs")
    known = inspect.signature(kind.__init__).parameters
    refused = [name for name, value in options.items() if value and (name not in known or name in _REFUSED)]
    if refused:
        raise ValueError(f"a RoFormer with {', '.join(refused)} cannot be exported")
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if name in known
    }
    # Attention is written in operators that ONNX knows; the linear transformers are in each layer by default.
    fixed = {name: value for name, value in _FIXED.items() if name in known}
    model = kind(**options | fixed)
    if model.stft_kwargs["win_length"] != model.stft_kwargs["n_fft"] or not options.get("stereo"):
        raise ValueError("a RoFormer of one channel, or with padded frames, cannot be exported")
    return model


def _roformer(kind: str) -> Any:
    """Import a class, without the rest of audio-separator, which needs many more packages."""
    name = "audio_separator.separator"
    if name not in sys.modules:
        found = find_spec("audio_separator")
        if found is None:
            raise ModuleNotFoundError("No module named 'audio_separator'")
        package = ModuleType(name)
        package.__path__ = [str(Path(each) / "separator") for each in found.submodule_search_locations or ()]
        sys.modules[name] = package
    module = import_module(f"{name}.uvr_lib_v5.roformer.{kind}_roformer")
    return module.BSRoformer if kind == "bs" else module.MelBandRoformer


def stems_of(config: Mapping[str, Any]) -> list[str]:
    """Return the stems that the network gives, in its order."""
    training = config["training"]
    target = training.get("target_instrument")
    names = [target] if target else training["instruments"]
    return [re.sub(r"[^a-z0-9_-]+", "-", str(name).lower()) for name in names]


def export(model: Any, config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Write the graph of a model; return what its card has to say.

    Raises:
        ValueError: The graph differs from the model, or the configuration names other stems than it has.
    """
    stems, audio = stems_of(config), config["audio"]
    if len(stems) != len(model.mask_estimators):
        count = len(model.mask_estimators)
        raise ValueError(f"the model gives {count} stems, and its configuration names {', '.join(stems)}")
    n_fft, hop = model.stft_kwargs["n_fft"], model.stft_kwargs["hop_length"]
    frames = int(audio["chunk_size"]) // hop + 1
    mix = torch.randn(1, 2, hop * (frames - 1), generator=torch.Generator().manual_seed(0))
    network = Spectra(model).eval()
    with torch.no_grad():
        expected = model(mix).reshape(len(stems), 2, -1)
        spectrum = forward(mix, model)
        found = inverse(network(spectrum), model, mix.shape[-1])
        difference = float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))
        if not difference <= _MAX_DIFFERENCE:
            raise ValueError(f"the exported network differs from the model by {difference:.1e}")
        torch.onnx.export(
            network,
            (spectrum,),
            str(file),
            input_names=["mix"],
            output_names=["stems"],
            opset_version=_OPSET,
            dynamo=False,
        )
    return {
        "stems": stems,
        "rate": int(audio.get("sample_rate", 44_100)),
        "n_fft": n_fft,
        "hop": hop,
        "frames": frames,
        "difference": difference,
    }


def forward(mix: torch.Tensor, model: Any) -> torch.Tensor:
    """Return the spectrum (1, 4, bins, frames) of (1, 2, samples)."""
    window = model.stft_window_fn()
    spectrum = torch.view_as_real(torch.stft(mix[0], **model.stft_kwargs, window=window, return_complex=True))
    return spectrum.permute(0, 3, 1, 2).flatten(0, 1)[None]


def inverse(spectra: torch.Tensor, model: Any, samples: int) -> torch.Tensor:
    """Return the stems (stems, 2, samples) of (1, 4 * stems, bins, frames)."""
    parts = spectra[0].unflatten(0, (-1, 2, 2)).permute(0, 1, 3, 4, 2).contiguous()
    rows = torch.view_as_complex(parts).flatten(0, 1)
    window = model.stft_window_fn()
    return torch.istft(rows, **model.stft_kwargs, window=window, length=samples).unflatten(0, (-1, 2))


class Spectra(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where this is checked
    """A RoFormer between its transforms: (n, 4, bins, frames) to (n, 4 * stems, bins, frames)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the spectra of the stems: left real, left imaginary, right real, right imaginary of each."""
        model, (n, _, bins, frames) = self.model, spectrum.shape
        parts = spectrum.reshape(n, 2, 2, bins, frames)
        # The model's order: bins before channels, the parts of a complex number last.
        rows = parts.permute(0, 3, 1, 4, 2).reshape(n, 2 * bins, frames, 2)
        chosen = getattr(model, "freq_indices", None)
        used = rows if chosen is None else rows[:, chosen]
        x = model.band_split(used.permute(0, 2, 1, 3).reshape(n, frames, -1))
        for times, bands in model.layers:
            _, _, count, width = x.shape
            x = times(x.transpose(1, 2).reshape(n * count, frames, width)).reshape(n, count, frames, width)
            x = bands(x.transpose(1, 2).reshape(n * frames, count, width)).reshape(n, frames, count, width)
        if hasattr(model, "final_norm"):
            x = model.final_norm(x)
        stems = []
        for estimator in model.mask_estimators:
            mask = estimator(x).reshape(n, frames, -1, 2).permute(0, 2, 1, 3)
            if chosen is not None:
                mask = self._averaged(mask, rows)
            mask = mask.reshape(n, bins, 2, frames, 2).permute(0, 2, 4, 1, 3)
            real = parts[:, :, 0] * mask[:, :, 0] - parts[:, :, 1] * mask[:, :, 1]
            imaginary = parts[:, :, 0] * mask[:, :, 1] + parts[:, :, 1] * mask[:, :, 0]
            stems.append(torch.stack([real, imaginary], 2).reshape(n, 4, bins, frames))
        return torch.cat(stems, 1)

    def _averaged(self, mask: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the masks of overlapping bands as one: their mean at each bin."""
        model = self.model
        places = model.freq_indices[None, :, None, None].expand_as(mask)
        total = torch.zeros_like(rows).scatter_add(1, places, mask)
        counts = model.num_bands_per_freq.repeat_interleave(2)[None, :, None, None]
        return total / counts.clamp(min=1e-8)


if __name__ == "__main__":
    main()
