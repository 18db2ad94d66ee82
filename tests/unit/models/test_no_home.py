"""A user that has no home directory, as containers have under a number that nobody has a name for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.client.target import profiles_file
from stemline.models import graph_cache
from stemline.models.catalogue import MODELS
from stemline.models.weights import WeightStore
from stemline.runtime.errors import UnusableFolder
from stemline.separation.errors import WeightsMissing
from stemline.workers.serving import check_models


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    monkeypatch.setattr(Path, "home", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "STEMLINE_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_graph_is_built_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for checksums of its own, the worker builds the graph and keeps it in memory."""
    import stemline.models.checkpoint

    graph = type("Graph", (), {"SerializeToString": lambda _: b"graph"})()
    monkeypatch.setattr(graph_cache, "build_graph", lambda *_, **__: graph)
    monkeypatch.setattr(stemline.models.checkpoint, "read_tensors", lambda _: {})
    assert graph_cache.cached_graph(MODELS["2stems"], tmp_path, polyphase=False) is None
    assert b"graph" == graph_cache.write_graph(MODELS["2stems"], tmp_path, polyphase=False)
    assert [] == list(tmp_path.iterdir())


def test_the_folder_of_models_must_be_named(tmp_path: Path) -> None:
    """Where it is not, the worker and the commands say which variable is missing; else nothing is."""
    with pytest.raises(WeightsMissing, match="so set STEMLINE_MODELS_DIR"):
        WeightStore()
    with pytest.raises(UnusableFolder, match="so set STEMLINE_MODELS_DIR"):
        check_models(None)
    for words in (["models", "list"], ["models", "where"]):
        ran = CliRunner().invoke(main, words)
        assert (5, True) == (ran.exit_code, "set STEMLINE_MODELS_DIR" in ran.output), ran.output
    check_models(tmp_path)


def test_commands_of_the_client_have_no_profile() -> None:
    """The file of profiles is sought where systems keep the files of users without a home directory."""
    assert Path("/.config/stemline/profiles.ini") == profiles_file()
