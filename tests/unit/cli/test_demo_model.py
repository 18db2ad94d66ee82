"""The model of the demo."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stemline.cli.demo import DemoFailed, prepare_model
from stemline.models import installation
from stemline.models.weights import WeightStore
from tests.support.networks import HEAD, WAVEFORM, card, scaling


def test_the_stack_answers_with_the_model_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An added model becomes that of voice and background; an unknown or unfit one is an error."""
    monkeypatch.setenv("STEMLINE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("STEMLINE_MODE_MODELS", "{}")
    store = WeightStore(tmp_path / "models")
    network = scaling(tmp_path / "net.onnx", (2, 1_000), (0.1, 0.2, 0.3, 0.4))
    installation.add(store, card(tmp_path / "card.toml", WAVEFORM, name="mine", samples=1_000), network)
    no_mode = tmp_path / "none.toml"
    no_mode.write_text(
        f'name = "none"\nkind = "waveform"\nstems = ["a", "b", "c", "d"]\n{HEAD}[segment]\nsamples = 1000\n'
    )
    installation.add(store, no_mode, network)
    for name in ("nobody", "none"):
        with pytest.raises(DemoFailed, match=name):
            prepare_model(name)
    assert os.environ["STEMLINE_MODE_MODELS"] == "{}"
    prepare_model("mine")
    assert json.loads(os.environ["STEMLINE_MODE_MODELS"]) == {"AudioAndBackground": "mine"}
