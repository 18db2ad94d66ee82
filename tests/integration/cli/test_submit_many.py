"""`stemline submit` with a folder, a prefix or a list."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemline.client import Client, ConnectionFailed, Job
from stemline.testing.processes import eventually
from tests.integration.cli.conftest import Service
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow


def album(count: int = 6) -> Path:
    """A folder with songs, one of them deeper than the others."""
    for number in range(count):
        path = Path("album", "disc 2" if number % 2 else "", f"{number}.mp3")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"music {number}".encode())
    return Path("album")


def stems(folder: str = "out") -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.wav")}


def jobs(service: Service) -> int:
    return len(list(service.client.list()))


def test_a_folder_is_separated_once(service: Service) -> None:
    """Every track has its stems at its place; a second run has nothing left to do; the summary lists all."""
    ran = service.run("submit", str(album()), "-o", "out")
    assert "6 tracks: 6 done" in ran.stdout
    assert {
        f"{'disc 2/' if n % 2 else ''}{n}-{s}.wav" for n in range(6) for s in ("voice", "background")
    } == stems()
    assert "[6/6]" in ran.stderr
    service.run("submit", "album", "-o", "out")
    assert 6 == jobs(service)
    with Path("out/stemline-summary.csv").open() as file:
        assert ["done"] * 6 == [row["state"] for row in csv.DictReader(file)]


def test_names_of_every_kind_are_separated(service: Service) -> None:
    """Names that are not UTF-8, hold line breaks or braces, begin with a dash or are as long as may be."""
    names = [
        b"caf\xe9.mp3",
        b"a\nb.mp3",
        b"{stem}.mp3",
        b"-o.mp3",
        b"x" * 251 + b".mp3",
        "日本 e\u0301.flac".encode(),
    ]
    Path("album").mkdir()
    for name in names:
        Path("album", os.fsdecode(name)).write_bytes(b"x")
    assert "6 tracks: 6 done" in service.run("submit", "album", "-o", "out", "--summary", "all.csv").stdout
    assert 12 == len(stems())
    assert {"{stem}-voice.wav", "-o-voice.wav", "a_b-voice.wav"} <= stems()
    service.run("submit", "album", "-o", "out")
    assert 6 == jobs(service)


def test_names_that_are_not_utf8_reach_a_pipe(service: Service) -> None:
    """Paths are printed as the bytes that they are, and as escapes in JSON; messages show what they can."""
    name, out = b"caf\xe9.mp3", b"o\xff"
    Path(os.fsdecode(name)).write_bytes(b"x")
    words = [sys.executable, "-m", "stemline", "submit", os.fsdecode(name), "-o", os.fsdecode(out)]
    environment = {**os.environ, **service.environment, "PYTHONUTF8": "1"}
    ran = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    assert [b"o\xff/caf?-voice.wav", b"o\xff/caf?-background.wav"] == ran.stdout.splitlines()
    text = service.run("submit", os.fsdecode(name), "-o", os.fsdecode(b"p\xff"), "--json").stdout
    assert Path(json.loads(text)["Files"]["voice"]).is_file()
    missing = service.run("submit", os.fsdecode(b"none\xe9.mp3"), code=5)
    assert "none?.mp3 is not a file here" in missing.stderr
    Path("list.txt").write_bytes(b"none\xe9.mp3\r\n" + name + b"\r\n")
    ran_list = service.run("submit", "list.txt", "-o", "listed", code=1)
    assert "2 tracks: 1 done, 1 failed" in ran_list.stdout
    assert "none?.mp3: NotUploaded" in ran_list.stderr


def test_failed_tracks_are_tried_again_on_request(service: Service) -> None:
    """The status is 1 and the reason is said; only --retry-failed tries again, and only what failed."""
    service.worker.fails = {"/3.mp3"}
    ran = service.run("submit", str(album()), "-o", "out", code=1)
    assert "5 done, 1 failed" in ran.stdout
    assert "disc 2/3.mp3: InvalidContent: The source has no audio stream." in ran.stderr
    service.run("submit", "album", "-o", "out", code=1)
    assert 6 == jobs(service)
    words = ["--retry-failed", "--summary", "all.json", "--json"]
    answer = json.loads(service.run("submit", "album", "-o", "out", *words).stdout)
    assert ({"done": 6}, 7) == (answer["states"], jobs(service))
    assert 6 == len(json.loads(Path("all.json").read_text()))


def test_prefixes_and_lists_name_objects(service: Service) -> None:
    """Objects below a prefix are found; a list names files and keys; nothing is uploaded that is there."""
    for key in ("in/a.mp3", "in/deep/b.wav", "in/cover.jpg", "other/c.mp3"):
        service.s3.client.put_object(Bucket=service.s3.bucket, Key=key, Body=b"x")
    service.run("submit", f"s3://{service.s3.bucket}/in/", "-o", "out")
    assert {"a-voice.wav", "deep/b-voice.wav"} == {name for name in stems() if "voice" in name}
    Path("list.txt").write_text("other/c.mp3\nalbum/0.mp3\n# a comment\n")
    album(1)
    service.run("submit", "list.txt", "-o", "two", "--names", "{name}.{stem}.{ext}")
    assert {"c.voice.wav", "0.voice.wav"} == {name for name in stems("two") if "voice" in name}
    assert 4 == jobs(service)
    said = service.run("submit", "none/", "-o", "three", code=5).stderr
    assert "no media files" in said
    assert "Hint: give a folder of this machine that has some" in said
    service.run("submit", "album", code=2)


def test_a_dry_run_counts_and_changes_nothing(service: Service) -> None:
    """Tracks, what is left of them and the limits of the queue are said; no job, object or file is made."""
    album()
    plan = json.loads(service.run("submit", "album", "-o", "out", "--dry-run", "--json").stdout)
    assert (6, {"new": 6}, 42) == (plan["tracks"], plan["states"], plan["bytes"])
    assert "Nothing was submitted." in service.run("submit", "album", "-o", "out", "--dry-run").stdout
    assert 0 == jobs(service)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--callback", "ftp://x/y"], "--callback"),
        (["--user-data", "\u6b4c"], "--user-data"),
        (["--audio-track", "no such language"], "--audio-track"),
        (["--bitrate", "7", "--codec", "mp3"], "--bitrate"),
        (["--samplerate", "7"], "--samplerate"),
    ],
)
def test_options_are_checked_before_anything_is_sent(service: Service, words: list[str], hint: str) -> None:
    """What the service refuses of all jobs is said in one line, also by --dry-run, and can be corrected."""
    song = next(album(2).glob("*.mp3"))
    for source, more in (
        ("album", []),
        ("album", ["--dry-run"]),
        (str(song), []),
        (str(song), ["--dry-run"]),
    ):
        ran = service.run("submit", source, "-o", "out", *words, *more, code=1)
        assert "InvalidArgument" in ran.stderr
        assert f"correct {hint} and run the command again" in ran.stderr
    assert [] == list(service.s3.client.list_objects_v2(Bucket=service.s3.bucket).get("Contents", []))
    assert "2 tracks: 2 done" in service.run("submit", "album", "-o", "out").stdout


def test_a_stem_that_was_deleted_is_fetched_again(service: Service) -> None:
    """A run over tracks that are done sees that a stem is missing, and fetches it without another job."""
    service.run("submit", str(album(2)), "-o", "out")
    Path("out/0-voice.wav").unlink()
    plan = json.loads(service.run("submit", "album", "-o", "out", "--dry-run", "--json").stdout)
    assert {"new": 1, "done": 1} == plan["states"]
    assert "2 tracks: 2 done" in service.run("submit", "album", "-o", "out").stdout
    assert (4, 2) == (len(stems()), jobs(service))
    Path("album/0.mp3").write_bytes(b"other music")
    service.run("submit", "album", "-o", "out")
    assert (4, 3) == (len(stems()), jobs(service))


def test_only_submitting_and_fetching_later(service: Service) -> None:
    """--no-wait prints the ids of the jobs alone; the next run fetches their stems without new jobs."""
    ran = service.run("submit", str(album(3)), "-o", "out", "--no-wait")
    assert {job.id for job in service.client.list()} == set(ran.stdout.splitlines())
    assert "3 tracks: 3 submitted" in ran.stderr
    again = json.loads(service.run("submit", "album", "-o", "out", "--no-wait", "--json").stdout)
    assert set(ran.stdout.splitlines()) == set(again["jobs"].values())
    assert set() == stems()
    service.run("submit", "album", "-o", "out")
    assert (3, 6) == (jobs(service), len(stems()))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_goes_on(service: Service, how: signal.Signals) -> None:
    """After Ctrl-C or kill -9 the same command goes on, and every track has had one job."""
    album(8)
    service.worker.holds.set()
    words = ("submit", "album", "-o", "out", "--jobs", "3")
    with Terminal(*words, environment=service.environment, folder=Path.cwd()) as shown:
        eventually(lambda: jobs(service) >= 2, what="two jobs")
        os.killpg(shown.process.pid, how)
        status = shown.end()
        if how is signal.SIGINT:
            assert 130 == status
            assert "run the same command again" in shown.text
            assert "Traceback" not in shown.text
    service.worker.holds.clear()
    assert "8 tracks: 8 done" in service.run(*words).stdout
    assert (8, 16) == (jobs(service), len(stems()))
    assert 8 == len(set(service.worker.sources)) == len(service.worker.sources)


def test_another_run_replaces_no_stems(service: Service) -> None:
    """Files of the same names from elsewhere, and files of nobody, keep the stems that are there."""
    for disc in ("a", "b"):
        Path(disc).mkdir()
        for number in range(2):
            Path(disc, f"{number}.mp3").write_bytes(disc.encode())
    ran = service.run("submit", "a/0.mp3", "a/1.mp3", "-o", "out")
    assert {"a/0.mp3: done", "a/1.mp3: done"} == {line[6:] for line in ran.stderr.splitlines()}
    before = {name: Path("out", name).read_text() for name in stems()}
    ran = service.run("submit", "b/0.mp3", "b/1.mp3", "-o", "out", code=1)
    assert f"out/0-voice.wav is there already, of the track {Path('a/0.mp3').resolve()}" in ran.stderr
    assert "and 3 other files too; nothing was submitted" in ran.stderr
    assert "--overwrite" in ran.stderr
    for words in (["--dry-run"], []):
        ran = service.run("submit", "b", "-o", "out", *words, code=1)
        assert "is of a run with the source 'several files'" in ran.stderr
    assert (before, 2) == ({name: Path("out", name).read_text() for name in stems()}, jobs(service))
    service.run("submit", "b/0.mp3", "b/1.mp3", "-o", "out", "--overwrite")
    assert before != {name: Path("out", name).read_text() for name in stems()}
    Path("new").mkdir()
    Path("new/0-voice.wav").write_text("mine")
    assert "new/0-voice.wav is there" in service.run("submit", "a", "-o", "new", code=1).stderr
    assert ["0-voice.wav"] == [each.name for each in Path("new").iterdir()]
    service.run("submit", "b", "-o", "new", "--names", "{name} ({stem}).{ext}")
    assert "mine" == Path("new/0-voice.wav").read_text()


def test_twins_of_several_folders_have_places_of_their_own(service: Service) -> None:
    """Files with the same name from several folders are separated in one run, named by their folders."""
    for disc in ("disc1", "disc2"):
        Path(disc).mkdir()
        Path(disc, "01.mp3").write_bytes(disc.encode())
    service.run("submit", "disc1/01.mp3", "disc2/01.mp3", "-o", "out")
    assert {"disc1-01-voice.wav", "disc2-01-voice.wav"} == {name for name in stems() if "voice" in name}


def test_what_ended_a_run_is_said_after_its_summary(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not answer any more ends the run with status 3, and the summary is there."""
    monkeypatch.setattr("stemline.client.tracks.pace._SILENCE_S", 0.5)
    monkeypatch.setattr("stemline.client.tracks.pace._LONGEST_S", 0.2)
    album(2)
    answered = Client.get_many

    def lost(client: Client, ids: list[str]) -> dict[str, Job]:
        if stems():
            raise ConnectionFailed("http://127.0.0.1:9 does not answer: refused")
        return answered(client, ids)

    monkeypatch.setattr(Client, "get_many", lost)
    ran = service.run("submit", "album", "-o", "out", "--jobs", "1", code=3)
    assert "2 tracks: 1 submitted, 1 done" in ran.stdout
    assert "does not answer: refused" in ran.stderr
    assert "Hint: run the same command again to go on" in ran.stderr
    with Path("out/stemline-summary.csv").open() as file:
        assert {"done", "submitted"} == {row["state"] for row in csv.DictReader(file)}


def test_ctrl_c_may_cancel_and_the_next_run_goes_on(service: Service) -> None:
    """With --cancel-on-interrupt the jobs are cancelled; as the hint says, the same command separates all."""
    album(3)
    service.worker.holds.set()
    words = ("submit", "album", "-o", "out", "--cancel-on-interrupt")
    with Terminal(*words, environment=service.environment, folder=Path.cwd()) as shown:
        eventually(lambda: jobs(service) == 3, what="three jobs")
        shown.wait_for("separating")
        shown.ctrl_c()
        assert 130 == shown.end()
        assert "3 jobs cancelled" in shown.text
    service.worker.holds.clear()
    eventually(lambda: {"Cancel"} == {job.state for job in service.client.list()}, what="all are cancelled")
    assert "3 tracks: 3 done" in service.run(*words).stdout
    assert (6, 6) == (jobs(service), len(stems()))


def test_bars_show_the_tracks_and_the_whole(service: Service) -> None:
    """On a terminal a bar counts all tracks and others show those under way."""
    album(4)
    service.worker.holds.set()
    with Terminal(
        "submit", "album", "-o", "out", environment=service.environment, folder=Path.cwd()
    ) as shown:
        shown.wait_for("all tracks")
        shown.wait_for(r"(?s)\d\.mp3.*separating")
        service.worker.holds.clear()
        shown.wait_for(r"(?s)all tracks.*\d/4 tracks, .*a minute")
        assert 0 == shown.end()
        assert "4 tracks: 4 done" in shown.text


def test_a_full_queue_is_waited_for(service: Service) -> None:
    """With a queue that holds two jobs, all six tracks are done; the pause is said."""
    service.client.update_queue(MaxSize="2")
    service.worker.holds.set()
    words = ("submit", str(album()), "-o", "out")
    with Terminal(*words, environment=service.environment, folder=Path.cwd()) as shown:
        shown.wait_for("limit of waiting jobs|reached its limit")
        service.worker.holds.clear()
        assert 0 == shown.end(), shown.text
    assert (6, 12) == (jobs(service), len(stems()))
