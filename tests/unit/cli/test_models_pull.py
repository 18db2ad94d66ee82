"""`stemline models pull`: which mirror it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.models import models
from stemline.models import download


@pytest.mark.parametrize(
    ("words", "variable", "asked"),
    [
        ((), None, None),
        ((), "https://set.test", "https://set.test"),
        (("--mirror", "https://given.test"), "https://set.test", "https://given.test"),
    ],
)
def test_a_mirror_is_named_by_an_option_or_a_variable(
    words: tuple[str, ...],
    variable: str | None,
    asked: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The option is preferred; without either the usual sources follow at once."""
    mirrors: list[str | None] = []

    def pull(_store: object, _model: object, *, mirror: str | None, **_: Any) -> Path:
        mirrors.append(mirror)
        return tmp_path

    monkeypatch.setattr(download, "pull", pull)
    variables = {"STEMLINE_MODELS_MIRROR": variable}
    ran = CliRunner().invoke(models, ["pull", *words, "--directory", str(tmp_path)], env=variables)
    assert ran.exit_code == 0, ran.output
    assert [asked] == mirrors
