"""What is installed, the card, and what is missing."""

# ruff: noqa: PLC0415 - each step loads only what it uses

from __future__ import annotations

import importlib.util
import os

from benchmarks.gpu.songs import Result


def versions(device: str) -> Result:
    """Report what is installed, the card, and all that is missing."""
    from stemline.separation.errors import SeparationError
    from stemline.separation.onnx_runtime import onnx_runtime

    facts = {
        "onnxruntime": onnx_runtime().__version__,
        "providers": ", ".join(onnx_runtime().get_available_providers()),
        "torch": "installed" if importlib.util.find_spec("torch") else "not installed",
        "cores": str(len(os.sched_getaffinity(0))),
    }
    missing = []
    for find in (_weights, _card) if device == "cuda" else (_weights,):
        try:
            facts |= find()
        except SeparationError as error:
            missing.append(error.message)
    return {"facts": facts | ({"missing": " ".join(missing)} if missing else {})}


def _weights() -> dict[str, str]:
    from stemline.models.catalogue import model_named
    from stemline.models.weights import WeightStore

    WeightStore().verified(model_named("2stems"))
    return {"weights of 2stems": "verified"}


def _card() -> dict[str, str]:
    from stemline.separation.sessions import cuda_card

    card = cuda_card()
    return {
        "card": card.name,
        "free memory, GiB": f"{card.free_bytes / 2**30:.1f}",
        "batch": str(card.batch()),
    }
