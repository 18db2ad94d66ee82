"""`stemline demo`, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from stemline.client import Client
from stemline.client.target import target_of_stack
from stemline.testing.processes import eventually, running_stack
from tests.integration.test_stack import s3_for
from tests.support.measured import MEASURED


def demo(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stemline", "demo", *arguments],
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "STEMLINE_HOME": str(folder / "home"),
            "COLUMNS": "120",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=500,
    )


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that were started for a stack in this folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            text = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
        except OSError:
            continue
        if str(folder / "home").encode() in text:
            found.append(text.partition(b"\0\0")[0].decode(errors="replace")[:200])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def ran(folder: Path) -> subprocess.CompletedProcess[str]:
    """The demo, run to its end."""
    return demo(folder, **MEASURED)


@pytest.mark.slow
def test_the_demo_finds_the_stems(ran: subprocess.CompletedProcess[str], folder: Path) -> None:
    """The demo succeeds, its stems gain at least 8 dB over the mix, and no process is left running."""
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    rows = re.findall(r"^ *(voice|background) .* ([\d.]+) dB\s*$", ran.stdout, re.MULTILINE)
    better = {stem: float(db) for stem, db in rows}
    assert {"voice", "background"} == set(better)
    assert min(better.values()) >= 8.0
    for step in ("accepted", "running on", "stems in the bucket", "callback received", "Real-time factor"):
        assert step in ran.stdout
    for name in ("voice.wav", "background.wav", "mix.wav", "callback.xml"):
        assert (folder / "demo-output" / name).stat().st_size > 500
    eventually(lambda: [] == left_running(folder), 120, "the end of the processes")


@pytest.mark.thorough
@pytest.mark.slow
def test_a_second_start_finds_jobs_and_objects(
    ran: subprocess.CompletedProcess[str], folder: Path, tmp_path: Path
) -> None:
    """After a second start the jobs, objects and credentials are there; after the stop no process is left."""
    callback = etree.parse(folder / "demo-output" / "callback.xml")
    secrets = json.loads((folder / "home" / "credentials.json").read_text())
    with running_stack(folder / "home", tmp_path / "up.log") as (stack, where):
        assert secrets["secret_key"] == where["secret_key"]
        assert 0o700 == (folder / "home").stat().st_mode & 0o777
        job_id = callback.findtext("JobsDetail/JobId")
        with Client(target_of_stack(where)) as client:
            assert "Success" == client.get(job_id).state
        s3 = s3_for(where)
        kept = s3.get_object(
            Bucket=where["bucket"], Key=callback.findtext("JobsDetail/Operation/Output/AuObject")
        )
        assert (folder / "demo-output" / "voice.wav").read_bytes() == kept["Body"].read()
        stack.terminate()
    assert not (folder / "home" / "stack.json").exists()
    eventually(lambda: [] == left_running(folder), 120, "the end of the processes")


@pytest.mark.thorough
def test_a_demo_that_fails_gives_the_reason(tmp_path: Path) -> None:
    """For a file that is not audio the demo prints the error of the job and the path of the logs."""
    song = tmp_path / "song.mp3"
    song.write_text("no music at all\n" * 100)
    ran = demo(tmp_path, str(song))
    assert 1 == ran.returncode
    assert "InvalidContent" in ran.stdout
    assert str(tmp_path / "home" / "logs") in ran.stdout.replace("\n", "")
    assert "Traceback" not in ran.stdout + ran.stderr
    eventually(lambda: [] == left_running(tmp_path), 120, "the end of the processes")
