"""The examples of docs/client.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.test_readme import blocks
from tests.media import Kind, make, tone
from tests.paths import REPOSITORY


def test_the_examples_run_one_after_another(
    where: dict[str, Any], stack_home: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Every Python example of the page, run in its order beside a stack, does what it says."""
    monkeypatch.delenv("STEMLINE_HOME", raising=False)
    (tmp_path / ".stemline").symlink_to(stack_home)
    make(tmp_path / "song.mp3", Kind("mp3", "libmp3lame"), tone(2 * 44_100))
    examples = blocks(REPOSITORY / "docs/client.md", "python")
    assert len(examples) >= 6
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert 0 == ran.returncode, ran.stderr
    for words in (
        "voice stems/song-voice.mp3",
        "Paused",
        "without-voice",
        "ResourceNotFound",
        "InvalidArgument",
    ):
        assert words in ran.stdout, ran.stdout
    assert (tmp_path / "stems" / "song-background.mp3").stat().st_size > 10_000
