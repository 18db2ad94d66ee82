"""The checks of `stemline doctor` of the models and of their device."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.cli.checks.engine import device, kernels, weights
from stemline.cli.checks.findings import CheckContext, Finding
from stemline.models import installation
from stemline.models.weights import WeightStore
from stemline.runtime.settings import Settings
from stemline.separation.errors import DeviceError
from stemline.separation.native import library
from stemline.separation.native.library import Found
from tests.support.networks import WAVEFORM, card, scaling

MODES = {"AudioAndBackground": "own", "MusicMode": "own"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model directory with one network."""
    network = scaling(tmp_path / "own.onnx", [2, 100], [0.1, 0.2, 0.3, 0.4])
    models = tmp_path / "models"
    installation.add(
        WeightStore(models), card(tmp_path / "own.toml", WAVEFORM, name="own", samples=100), network
    )
    return models


def found(check: Any, folder: Path, **settings: Any) -> list[Finding]:
    return list(check(CheckContext(Settings(models_dir=str(folder), device="cpu", **settings))))


@pytest.mark.parametrize("settings", [{"mode_models": MODES}, {"preload_models": ["own"]}, {}])
def test_a_model_that_is_here_is_loaded(folder: Path, settings: dict[str, Any]) -> None:
    """Where 2stems is missing, the device is tried with a model that the settings name, or that is here."""
    (finding,) = found(device, folder, **settings)
    assert finding.verdict == "ok"
    assert "onnxruntime on cpu, own ready in" in finding.message


@pytest.mark.parametrize("transform", ["device", "host"])
def test_on_a_card_it_is_said_where_samples_are_transformed(
    transform: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding names the card, and what the host has to do beside it."""
    card = SimpleNamespace(device="cuda (NVIDIA Stand-in)", transform=transform)
    monkeypatch.setattr("stemline.models.loading.load_engine", lambda *_, **__: card)
    (finding,) = found(device, folder)
    assert f"on cuda (NVIDIA Stand-in), samples transformed on the {transform}," in finding.message


def test_without_weights_no_device_is_blamed(tmp_path: Path) -> None:
    """Missing weights are no fault of the driver: the check does not run."""
    (finding,) = found(device, tmp_path)
    assert finding.verdict == "skipped"


def test_the_command_that_fetches_weights_is_named_once(tmp_path: Path) -> None:
    """The message says what is missing, the advice what to do."""
    findings = found(weights, tmp_path)
    assert [each.fix for each in findings] == [f"run `stemline models pull {name}stems`" for name in (2, 4)]
    assert "models pull" not in " ".join(each.message for each in findings)


def test_damaged_weights_are_named_as_such(folder: Path) -> None:
    """The message and what to do are about the model."""
    network = folder / "own" / "own.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    (finding,) = found(device, folder)
    assert finding.verdict == "error"
    assert "own.onnx has SHA-256" in finding.message
    assert "stemline models verify" in finding.fix


def test_all_models_that_the_settings_name_are_compared(folder: Path) -> None:
    """Those of the modes, once where one answers both, and those that are loaded at the start."""
    findings = found(weights, folder, mode_models=MODES, preload_models=["own", "gone"])
    assert [each.verdict for each in findings] == ["ok", "error"]
    assert findings[0].message.startswith("own in ")
    assert "loaded at the start: There is no model 'gone'" in findings[1].message


@pytest.mark.parametrize(
    ("settings", "answer", "verdict", "message"),
    [
        ({}, Found(ctypes.CDLL(None), "avx2"), "ok", "those for avx2"),
        (
            {},
            Found(None, "", "kernels.base.so was not built"),
            "warning",
            "kernels.base.so was not built: ONNX Runtime",
        ),
        ({"kernels": "avx512"}, DeviceError("The processor cannot."), "error", "The processor cannot."),
        ({"kernels": "off"}, AssertionError(), "ok", "switched off by STEMLINE_KERNELS"),
        ({"device": "cuda"}, AssertionError(), "skipped", "STEMLINE_DEVICE is cuda"),
    ],
)
def test_it_is_said_which_kernels_run(
    settings: dict[str, str], answer: Any, verdict: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the settings choose are named, or why there are none and what to do."""
    asked = []

    def find(choice: str) -> Found:
        asked.append(choice)
        if isinstance(answer, Found):
            return answer
        raise answer

    monkeypatch.setattr(library, "find", find)
    (finding,) = kernels(CheckContext(Settings(**settings)))
    assert verdict == finding.verdict
    assert message in finding.message
    assert (verdict in {"warning", "error"}) == (
        "install gcc or clang, and then Stemline again" in finding.fix
    )
    assert asked == ([] if isinstance(answer, AssertionError) else [settings.get("kernels", "auto")])
