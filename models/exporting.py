"""Turns checkpoints of other programs into networks with cards, in a Python that has their framework."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stemline.models.card import Card, Kind
from stemline.models.card_file import card_text
from stemline.models.card_tables import RATE, Segment, Spectrum, Tracks
from stemline.separation.errors import WeightsCorrupt, WeightsMissing

#: The programs, by the name of what they read.
_PROGRAMS: Final[Mapping[str, Path]] = {
    "demucs": Path(__file__).parent / "exporters" / "hybrid_demucs.py",
    "roformer": Path(__file__).parent / "exporters" / "roformer.py",
}
#: Longest time that an export may take, s.
_TIMEOUT_S: Final = 3600.0
_FOUR = {"vocals", "drums", "bass", "other"}


def export_demucs(
    checkpoint: Path,
    folder: Path,
    *,
    name: str,
    licence: str,
    source: str,
    python: str,
    trust: bool = False,
) -> tuple[Path, Path]:
    """Write the network and the card of a Hybrid Transformer Demucs.

    Args:
        checkpoint: As Demucs writes it.
        folder: For ``NAME.onnx`` and ``NAME.toml``.
        name: Of the model.
        licence: Of the weights.
        source: Where the weights are from.
        python: A Python that has torch, demucs and onnx.
        trust: Whether the checkpoint may run code of its own.

    Returns:
        The paths of the network and of the card.

    Raises:
        FieldError: The name, the licence or the source is none.
        WeightsMissing: There is no such checkpoint, or that Python lacks a package.
        WeightsCorrupt: It cannot be exported.
    """
    about: Mapping[str, Any] = {"name": name, "licence": licence, "source": source}
    # A wrong name, licence or source is reported before anything is computed.
    _demucs_card(about, ("vocals",), 343_980)
    _check_files(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    found = _run("demucs", python, [str(checkpoint), str(file), *(["--trust"] if trust else [])])
    return file, _write(_demucs_card(about, tuple(found["stems"]), int(found["samples"])), folder)


def export_roformer(
    checkpoint: Path, config: Path, folder: Path, *, name: str, licence: str, source: str, python: str
) -> tuple[Path, Path]:
    """Write the network and the card of a Band-Split or Mel-Band RoFormer.

    Args:
        checkpoint: Its weights.
        config: The YAML that is published with them.
        folder: For ``NAME.onnx`` and ``NAME.toml``.
        name: Of the model.
        licence: Of the weights.
        source: Where the weights are from.
        python: A Python that has torch, audio-separator and onnx.

    Returns:
        The paths of the network and of the card.

    Raises:
        FieldError: The name, the licence or the source is none, or the configuration names odd stems.
        WeightsMissing: There is no such file, or that Python lacks a package.
        WeightsCorrupt: It cannot be exported.
    """
    about: Mapping[str, Any] = {"name": name, "licence": licence, "source": source}
    _roformer_card(about, {"stems": ["vocals"], "rate": RATE, "n_fft": 2048, "hop": 441, "frames": 801})
    _check_files(checkpoint, config)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    found = _run("roformer", python, [str(checkpoint), str(config), str(file)])
    return file, _write(_roformer_card(about, found), folder)


def _check_files(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise WeightsMissing(f"There is no file {path}.")


def _write(card: Card, folder: Path) -> Path:
    path = folder / f"{card.name}.toml"
    path.write_text(card_text(card))
    return path


def _demucs_card(about: Mapping[str, Any], stems: tuple[str, ...], samples: int) -> Card:
    segment = Segment(samples=samples)
    return Card(
        **about, **_answers(stems), kind=Kind.WAVEFORM, stems=stems, normalisation="track", segment=segment
    )


def _roformer_card(about: Mapping[str, Any], found: Mapping[str, Any]) -> Card:
    stems, n_fft = tuple(found["stems"]), int(found["n_fft"])
    return Card(
        **about,
        **_answers(stems),
        kind=Kind.COMPLEX_SPECTROGRAM,
        stems=stems,
        rate=int(found["rate"]),
        segment=Segment(window="hamming", overlap=0.5),
        spectrum=Spectrum(
            n_fft=n_fft, bins=n_fft // 2 + 1, frames=int(found["frames"]), hop=int(found["hop"])
        ),
    )


def _answers(stems: tuple[str, ...]) -> dict[str, Any]:
    """Return which tracks of the wire these stems answer, and the rest that the background is."""
    if "vocals" not in stems:
        return {}
    tracks = {"AudioAndBackground": Tracks(voice="vocals", background="accompaniment")}
    if set(stems) == _FOUR:
        tracks["MusicMode"] = Tracks(voice="vocals", background="other", bass="bass", drum="drums")
    rest = {} if "accompaniment" in stems else {"accompaniment": ("vocals",)}
    return {"mix_less": rest, "tracks": tracks}


def _run(program: str, python: str, arguments: list[str]) -> Mapping[str, Any]:
    """Run a program and return the line of JSON that it prints last.

    Raises:
        WeightsMissing: The Python is missing, or lacks a package.
        WeightsCorrupt: The program failed, with its reason.
    """
    command = [python, str(_PROGRAMS[program]), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except OSError as error:
        raise WeightsMissing(f"{python} cannot be run: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise WeightsCorrupt(f"The export took longer than {_TIMEOUT_S:.0f} s.") from error
    if done.returncode:
        reason = (done.stderr.strip() or "no reason was given").rsplit("\n", 1)[-1]
        if reason.startswith("ModuleNotFoundError"):
            raise WeightsMissing(f"{python} lacks a package: {reason}; --python names another Python.")
        raise WeightsCorrupt(reason)
    found: Mapping[str, Any] = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    return found
