"""Which library runs Spleeter's networks."""

from __future__ import annotations

from ctypes import CDLL
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stemline.models import loading
from stemline.models.weights import WeightStore
from stemline.separation.errors import DeviceError, OptionError
from stemline.separation.native import library


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that loads `2stems` and says by what; a card works where `card` is true."""

    def load(*, built: bool = True, has_cuda: bool = False, card: bool = False, **options: Any) -> str:
        def onnx(model, store, weights, chosen) -> SimpleNamespace:
            if chosen.device == "cuda" and not card:
                raise DeviceError("no card")
            return SimpleNamespace(name=f"onnxruntime {chosen.device}")

        found = library.Found(
            CDLL(None) if built else None, "avx2" if built else "", "" if built else "no compiler"
        )
        monkeypatch.setattr(loading, "_onnx_engine", onnx)
        monkeypatch.setattr(loading, "_native_engine", lambda *_: SimpleNamespace(name="native"))
        monkeypatch.setattr(loading, "may_have_cuda", lambda: has_cuda)
        monkeypatch.setattr(WeightStore, "verified", lambda *_, **__: tmp_path)
        monkeypatch.setattr(library, "_find", lambda *_: found)
        chosen: Any = loading.load_engine("2stems", directory=tmp_path, **options)
        return chosen.name

    return load


def test_compiled_networks_are_used_on_cpus(load) -> None:
    """Without a card they are the default."""
    assert load() == "native"
    assert load(device="cpu", has_cuda=True, card=True) == "native"


def test_onnx_runtime_is_used_without_them(load) -> None:
    """Where nothing was compiled, and where they are switched off."""
    assert load(built=False) == "onnxruntime auto"
    assert load(kernels="off") == "onnxruntime auto"


def test_a_card_that_works_comes_first(load) -> None:
    """`auto` takes a card, and the compiled networks where the card fails, which the log says."""
    assert load(has_cuda=True, card=True) == "onnxruntime cuda"
    with capture_logs() as logs:
        assert load(has_cuda=True) == "native"
    assert [("engine.cuda_unavailable", "no card")] == [(log["event"], log["reason"]) for log in logs]


def test_a_card_that_was_asked_for_is_not_replaced(load) -> None:
    """CPUs do not compute what a card was asked for."""
    with pytest.raises(DeviceError):
        load(device="cuda", has_cuda=True)
    assert load(device="cuda", has_cuda=True, card=True) == "onnxruntime cuda"


@pytest.mark.parametrize("model", ["2stems", "added"])
def test_kernels_that_are_not_there_are_said_before_the_first_job(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The loudness of stems is measured by them on cards as well, and of other models' stems."""
    monkeypatch.setenv("STEMLINE_KERNELS", "avx1024")
    with pytest.raises(OptionError, match="STEMLINE_KERNELS cannot be 'avx1024'"):
        loading.load_engine(model, device="cuda", directory=tmp_path)
