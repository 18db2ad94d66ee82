"""What ``stemline up`` does before it starts the stack."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from stemline.cli import model_download, up
from stemline.models.catalogue import MODELS
from stemline.runtime.settings import Settings
from stemline.separation.errors import WeightsMissing


@pytest.mark.parametrize(
    ("present", "setting", "fetched"),
    [(False, None, True), (False, "true", True), (False, "false", False), (True, None, False)],
)
def test_weights_are_fetched_before_the_start(monkeypatch, tmp_path, present, setting, fetched):
    """The 2-stem weights are fetched with a bar unless they are here, or the settings forbid it."""
    calls = []
    monkeypatch.setattr(
        model_download, "fetch_with_bar", lambda _, store, model, **__: calls.append((store.directory, model))
    )
    monkeypatch.delenv("STEMLINE_MODELS_FETCH", raising=False)
    if setting is not None:
        monkeypatch.setenv("STEMLINE_MODELS_FETCH", setting)
    if present:
        for file in MODELS["2stems"].files:
            (tmp_path / "2stems").mkdir(exist_ok=True)
            (tmp_path / "2stems" / file.name).touch()
    up.fetch_weights(Console(file=io.StringIO()), Settings(models_dir=tmp_path))
    assert ([(tmp_path, MODELS["2stems"])] if fetched else []) == calls


def test_the_stack_starts_without_weights_that_cannot_be_fetched(monkeypatch, tmp_path):
    """Without a network the reason is printed and the start goes on: the worker tries again."""

    def fail(*_: object, **__: object) -> None:
        raise WeightsMissing("no network")

    monkeypatch.setattr(model_download, "fetch_with_bar", fail)
    monkeypatch.delenv("STEMLINE_MODELS_FETCH", raising=False)
    printed = io.StringIO()
    up.fetch_weights(Console(file=printed, width=200), Settings(models_dir=tmp_path))
    assert "The weights could not be fetched: no network" in printed.getvalue()


def test_a_signal_during_a_destructor_is_not_lost():
    """Python drops the exception of a signal that arrives in a destructor; the loop stops nevertheless."""
    program = """
import signal
from stemline.cli.up import stop_on_signals

class Slow:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

stopping = stop_on_signals()
Slow()
print("goes on, stopping" if stopping() else "goes on")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "goes on, stopping\n" == done.stdout
    assert "KeyboardInterrupt" in done.stderr
