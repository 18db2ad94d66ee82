"""Commands on a terminal: bars, Ctrl-C, narrow windows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemline.testing.processes import eventually
from tests.integration.cli.conftest import Service
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def song() -> Path:
    Path("song.mp3").write_bytes(b"music" * 100)
    return Path("song.mp3")


@pytest.mark.parametrize("columns", [40, 120])
def test_one_bar_leads_from_the_upload_to_the_last_stem(service: Service, song: Path, columns: int) -> None:
    """The bar shows the stage and the percent, also in a narrow window; then the files are listed."""
    service.worker.holds.set()
    words = ("submit", str(song), "-o", "out")
    with Terminal(*words, environment=service.environment, columns=columns, folder=Path.cwd()) as shown:
        shown.wait_for(r"(?s)song.mp3.*\d+%.*separating")
        service.worker.holds.clear()
        assert 0 == shown.end(), shown.text
        assert "out/song-voice.wav" in shown.text
        assert "Traceback" not in shown.text


def test_the_place_in_the_queue_is_shown(service: Service, song: Path) -> None:
    """While a job waits, the bar says how many are before it."""
    service.worker.holds.set()
    first = service.client.submit("in/first.mp3")
    eventually(lambda: service.client.get(first.id).state == "Running", what="the first job runs")
    service.client.submit("in/second.mp3")
    with Terminal("submit", str(song), environment=service.environment, folder=Path.cwd()) as shown:
        shown.wait_for("waiting, place 2")
        shown.ctrl_c()
        assert 130 == shown.end()


@pytest.mark.parametrize("cancels", [False, True])
def test_ctrl_c_leaves_the_job_running_unless_it_shall_end(
    service: Service, song: Path, cancels: bool
) -> None:
    """After Ctrl-C the id of the job is shown and the status is 130; the job goes on, or is cancelled."""
    service.worker.holds.set()
    words = ["submit", str(song), *(["--cancel-on-interrupt"] if cancels else [])]
    with Terminal(*words, environment=service.environment, folder=Path.cwd()) as shown:
        job_id = shown.wait_for("j[0-9a-f]{32}")
        shown.wait_for("separating")
        shown.ctrl_c()
        assert 130 == shown.end()
        assert f"job {job_id} {'is cancelled' if cancels else 'goes on'}" in shown.text
        assert "Traceback" not in shown.text
    service.worker.holds.clear()
    assert ("Cancel" if cancels else "Success") == service.client.wait(
        job_id, timeout_s=180, check=False
    ).state


def test_the_list_of_jobs_fits_its_window(service: Service) -> None:
    """In a window of 40 columns no line of the list is longer; in a pipe nothing is cut."""
    service.worker.holds.set()
    job = service.client.submit("in/" + "long " * 40 + ".mp3")
    with Terminal("jobs", environment=service.environment, columns=40, folder=Path.cwd()) as shown:
        assert 0 == shown.end()
        assert max(map(len, shown.text.splitlines())) <= 40
        assert job.id in shown.text
    (line,) = service.run("jobs").stdout.splitlines()
    assert job.source in line.replace("  ", " ") + " "


def test_a_job_is_watched_to_its_end(service: Service) -> None:
    """`job --watch` is drawn again until the job has ended."""
    service.worker.holds.set()
    job = service.client.submit("in/a.mp3")
    with Terminal("job", job.id, "--watch", environment=service.environment, folder=Path.cwd()) as shown:
        shown.wait_for("Running")
        service.worker.holds.clear()
        assert 0 == shown.end()
        assert "stem       voice" in shown.text


def test_a_list_is_watched_until_ctrl_c(service: Service) -> None:
    """`jobs --watch` shows jobs that are submitted meanwhile, and ends with the status of Ctrl-C."""
    with Terminal("jobs", "--watch", environment=service.environment, folder=Path.cwd()) as shown:
        shown.wait_for("State")
        job = service.client.submit("in/a.mp3")
        shown.wait_for(job.id)
        shown.ctrl_c()
        assert 130 == shown.end()
        assert "Traceback" not in shown.text
