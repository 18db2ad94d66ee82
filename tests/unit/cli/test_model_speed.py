"""`stemline models show --speed`: how fast the jobs of a model ran."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stemline.cli import local_stack
from stemline.cli.main import main
from stemline.models import installation
from stemline.models.weights import WeightStore
from tests.support.networks import WAVEFORM, card, scaling

TOTALS = {
    "audio_ms_of:own": 10_000,
    "work_ms_of:own": 30_000,
    "audio_ms_of:AudioAndBackground": 90_000,
    "work_ms_of:AudioAndBackground": 20_000,
    "audio_ms_of:MusicMode": 7_000,
    "work_ms_of:MusicMode": 1_000,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model directory with one network, and a store that has counted jobs."""
    network = scaling(tmp_path / "own.onnx", [2, 100], [0.1, 0.2, 0.3, 0.4])
    models = tmp_path / "models"
    installation.add(
        WeightStore(models), card(tmp_path / "own.toml", WAVEFORM, name="own", samples=100), network
    )
    statistics = SimpleNamespace(read=lambda _max_queues: SimpleNamespace(totals=TOTALS))
    monkeypatch.setattr(local_stack, "open_store", lambda: SimpleNamespace(statistics=statistics))
    return models


@pytest.mark.parametrize(
    ("model", "modes", "factor", "said"),
    [
        ("own", {}, 1 / 3, "# Speed: 0.333 times real time, over 0.00278 h of audio."),
        ("own", {"AudioAndBackground": "own"}, 2.0, "# Speed: 2 times real time, over 0.0278 h of audio."),
        ("4stems", {}, 7.0, "# Speed: 7 times real time"),
        ("5stems", {}, None, "# Speed: not known before a job has succeeded."),
    ],
)
def test_the_speed_is_that_of_the_jobs_that_want_the_model(
    folder: Path, model: str, modes: dict[str, str], factor: float | None, said: str
) -> None:
    """Jobs that name it count, and those of the modes that it answers by the settings; no others do."""
    words = ["models", "show", model, "--speed", "--directory", str(folder)]
    variables = {"STEMLINE_MODE_MODELS": json.dumps(modes)}
    shown = CliRunner().invoke(main, words, env=variables).output.splitlines()
    assert shown[-1].startswith(said)
    values = json.loads(CliRunner().invoke(main, [*words, "--json"], env=variables).output)
    assert values["real_time_factor"] == factor


def test_no_store_is_asked_without_the_option(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that only separates needs no service for `show`."""
    monkeypatch.setattr(local_stack, "open_store", None)
    ran = CliRunner().invoke(main, ["models", "show", "own", "--directory", str(folder)])
    assert ran.exit_code == 0
    assert "Speed" not in ran.output
