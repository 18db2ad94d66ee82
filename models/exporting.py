"""Turns checkpoints of other programs into networks with cards, in a Python that has their framework."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stemline.models.card import Card, Kind, Segment, Tracks
from stemline.models.card_file import card_text
from stemline.separation.errors import WeightsCorrupt, WeightsMissing

#: The programs, by the name of what they read.
_PROGRAMS: Final[Mapping[str, Path]] = {
    "demucs": Path(__file__).parent / "exporters" / "hybrid_demucs.py",
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
    if not checkpoint.is_file():
        raise WeightsMissing(f"There is no file {checkpoint}.")
    # A wrong name, licence or source is reported before anything is computed.
    _demucs_card(("vocals",), 343_980, name=name, licence=licence, source=source)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    found = _run("demucs", python, [str(checkpoint), str(file), *(["--trust"] if trust else [])])
    card = _demucs_card(
        tuple(found["stems"]), int(found["samples"]), name=name, licence=licence, source=source
    )
    card_path = folder / f"{name}.toml"
    card_path.write_text(card_text(card))
    return file, card_path


def _demucs_card(stems: tuple[str, ...], samples: int, *, name: str, licence: str, source: str) -> Card:
    tracks = {"AudioAndBackground": Tracks(voice="vocals", background="accompaniment")}
    if set(stems) == _FOUR:
        tracks["MusicMode"] = Tracks(voice="vocals", background="other", bass="bass", drum="drums")
    has_voice = "vocals" in stems
    return Card(
        name=name,
        kind=Kind.WAVEFORM,
        stems=stems,
        licence=licence,
        source=source,
        normalisation="track",
        segment=Segment(samples=samples),
        mix_less={"accompaniment": ("vocals",)} if has_voice else {},
        tracks=tracks if has_voice else {},
    )


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
