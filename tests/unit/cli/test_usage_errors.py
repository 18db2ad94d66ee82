"""Command lines that contradict themselves end in one sentence, before anything is asked of a service."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.cli.statuses import USAGE

SERVICE = {
    "STEMLINE_API": "http://127.0.0.1:1",
    "STEMLINE_SECRET_ID": "id",
    "STEMLINE_SECRET_KEY": "key",
    "STEMLINE_BUCKET": "media-1250000000",
    "STEMLINE_REGION": "ap-chongqing",
    "STEMLINE_REDIS_URL": "redis://127.0.0.1:1/0",
}
IDS_OR_FILTERS = "give either IDs, or filters, or --all"
CALLBACKS = "give either IDs, or --status, --host and --since, or --all"
STORED = "give either IDs, or filters (--host, --tenant, --since), or --all"
KEYS = "give either KEYs, or --list, or --manifest"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cancel", IDS_OR_FILTERS),
        ("cancel j1 --all", IDS_OR_FILTERS),
        ("cancel --all --prefix in/", IDS_OR_FILTERS),
        ("retry j1 --state Failed", IDS_OR_FILTERS),
        ("callbacks replay", CALLBACKS),
        ("callbacks replay j1 --all", CALLBACKS),
        ("store callbacks replay", STORED),
        ("store callbacks replay j1 --all", STORED),
        ("batches create", KEYS),
        ("batches create a --manifest b", KEYS),
        ("fetch -o out", "give either IDs or --batch"),
        ("fetch j1 --batch b1 -o out", "give either IDs or --batch"),
        ("settings --check --json", "--check prints no JSON"),
        ("store migrate", "give --pre or --post"),
    ],
)
def test_a_contradiction_is_said(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence names what to choose from, and the hint the help of the command."""
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(main, words.split(), env=SERVICE)
    assert (USAGE, f"Error: {message}") == (ended.exit_code, ended.stderr.splitlines()[0])
    assert "--help" in ended.stderr.splitlines()[-1]
    assert [] == list(tmp_path.iterdir())
