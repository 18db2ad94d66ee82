"""Many tracks: where they are found, what is kept of them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from stemline.client.errors import AccessDenied, ConnectionFailed, SlowDown, TransferFailed
from stemline.client.tracks.manifest import Entry, Manifest, ManifestError
from stemline.client.tracks.pace import Pace, Stopped
from stemline.client.tracks.sources import distinct, in_folder, in_list, named

PATTERN = "{dir}/{name}-{stem}.{ext}"


def opened(path, source="folder", **parameters):
    return Manifest(path, source, {"stems": 2, **parameters})


def test_what_was_written_is_there_after_a_new_start(tmp_path):
    """The latest line of each track counts; the keys of a repeated submission are the same."""
    file = tmp_path / "out" / "m.jsonl"
    with opened(file) as manifest:
        entry = manifest.begin("a.mp3", "uploads/a.mp3", turn=1)
        key = manifest.idempotency_key(entry)
        manifest.submitted(entry, "j1")
        manifest.put(Entry("b\udce9.mp3", "failed", code="X", message="why", files={"voice": "v"}))
    with opened(file) as again:
        assert ("submitted", "j1", 1) == (again.entry("a.mp3").state, again.entry("a.mp3").job, 1)
        assert key == again.idempotency_key(again.entry("a.mp3"))
        assert ("failed", "why", {"voice": "v"}) == (
            again.entry("b\udce9.mp3").state,
            again.entry("b\udce9.mp3").message,
            again.entry("b\udce9.mp3").files,
        )
        assert "new" == again.entry("c.mp3").state
        assert key != again.idempotency_key(Entry("a.mp3", turn=2))
        assert key != again.idempotency_key(Entry("b.mp3"))


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_that_was_not_written_whole_is_removed(tmp_path, cut):
    """However much of the last line is missing, the lines before count, and the file goes on after them."""
    file = tmp_path / "m.jsonl"
    with opened(file) as manifest:
        manifest.begin("a", "k", turn=1)
        whole = file.stat().st_size
        manifest.begin("b", "k", turn=1)
    content = file.read_bytes()
    file.write_bytes(content[: max(whole, len(content) - cut)])
    with opened(file) as again:
        assert {"a"} == set(again.entries)
        again.begin("c", "k", turn=1)
    with opened(file) as last:
        assert {"a", "c"} == set(last.entries)


def test_a_manifest_is_for_one_source_and_one_set_of_options(tmp_path):
    """Other options would give the same keys to other jobs: they are refused, with what differs."""
    file = tmp_path / "m.jsonl"
    opened(file, codec="wav").__exit__(None, None, None)
    with pytest.raises(ManifestError, match="codec 'wav', not 'mp3'"):
        opened(file, codec="mp3")
    with pytest.raises(ManifestError, match="source 'folder', not 'other'"):
        opened(file, "other", codec="wav")
    (tmp_path / "x").write_text("{}\n")
    with pytest.raises(ManifestError, match="not a manifest"):
        opened(tmp_path / "x")


def test_one_process_at_a_time_uses_a_manifest(tmp_path):
    """A second run on the same manifest ends at once, instead of doing the same work beside the first."""
    with opened(tmp_path / "m.jsonl"), pytest.raises(ManifestError, match="in use"):
        opened(tmp_path / "m.jsonl")


def test_folders_are_searched_without_the_output(tmp_path):
    """Media files at any depth are found, in order; hidden ones, other files and the output are not."""
    for name in (
        "b.mp3",
        "a/x.WAV",
        "a/cover.jpg",
        ".hidden/x.mp3",
        ".x.mp3",
        "out/b-voice.wav",
        "no-extension",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    found = list(in_folder(tmp_path, without=tmp_path / "out"))
    assert ["b.mp3", "a/x.WAV"] == [track.id for track in found]
    assert ("a", "x", 4) == (found[1].folder, found[1].name, found[1].size)


def test_lists_hold_files_and_keys(tmp_path):
    """A line is a file if there is one, else a key; comments and empty lines are left out."""
    (tmp_path / "song.mp3").write_bytes(b"x")
    lines = ["#EXTM3U", "", "song.mp3\r", "in/a b.mp3", "s3://media-1/in/c.mp3"]
    found = list(in_list(lines, base=tmp_path, bucket="media-1"))
    assert [tmp_path / "song.mp3", None, None] == [track.path for track in found]
    assert ["", "in/a b.mp3", "in/c.mp3"] == [track.key for track in found]
    with pytest.raises(ValueError, match="bucket media-1"):
        list(in_list(["s3://other/x.mp3"], base=tmp_path, bucket="media-1"))


def test_no_two_tracks_write_the_same_file():
    """Tracks that differ in their extension alone are named by it; a pattern without a name is refused."""
    lines = ["a/song.mp3", "a/song.wav", "b/song.mp3", "a/song.mp3"]
    tracks = distinct(in_list(lines, base=Path("/none"), bucket="b"), PATTERN)
    assert ["song.mp3", "song.wav", "song"] == [track.name for track in tracks]
    with pytest.raises(ValueError, match="the same files"):
        distinct(tracks, "{stem}.{ext}")
    assert 3 == len(distinct(tracks, "{jobid}-{stem}.{ext}"))


class Flaky:
    """Fails in given ways, then succeeds."""

    def __init__(self, *faults):
        self.faults = list(faults)

    def __call__(self):
        if self.faults:
            raise self.faults.pop(0)
        return "done"


@pytest.fixture
def pace(monkeypatch):
    """A pace whose pauses take no time; it keeps what it tells."""
    said: list[str] = []
    made = Pace(threading.Event(), said.append)
    monkeypatch.setattr(made, "_wait_until", lambda _: made.check())
    return made, said


def test_what_may_succeed_later_is_repeated(pace):
    """A full queue, a service that is away and a bucket that fails are waited for, and said."""
    made, said = pace
    full = SlowDown("SlowDown", "The queue has reached its limit", status=503, retry_after_s=7)
    faults = [full, ConnectionFailed("x"), TransferFailed("x")]
    assert "done" == made.patiently(Flaky(*faults), tries=3)
    assert "The queue has reached its limit (SlowDown); trying again in 7 s" == said[0]
    assert "" == said[-1]


def test_what_will_not_succeed_is_not_repeated(pace):
    """A refusal, a file that is gone and the end of the run are reported at once."""
    made, _ = pace
    with pytest.raises(AccessDenied):
        made.patiently(Flaky(AccessDenied("AccessDenied", "m", status=403)))
    gone = TransferFailed("x")
    gone.__cause__ = FileNotFoundError()
    with pytest.raises(TransferFailed):
        made.patiently(Flaky(gone), tries=9)
    with pytest.raises(TransferFailed):
        made.patiently(Flaky(*[TransferFailed("x")] * 3), tries=3)
    made._stop.set()
    with pytest.raises(Stopped):
        made.patiently(Flaky())


def test_a_line_is_json(tmp_path):
    """Other programs can read the manifest line by line."""
    with opened(tmp_path / "m.jsonl") as manifest:
        manifest.begin("a", "k", turn=1)
    run, track = map(json.loads, (tmp_path / "m.jsonl").read_text().splitlines())
    assert {"stems": 2} == run["parameters"]
    assert ("a", "sending", "k") == (track["track"], track["state"], track["key"])


def test_stems_are_not_put_among_their_sources(tmp_path):
    """The folder of the sources is refused as that of the stems: the next run would separate the stems."""
    with pytest.raises(ValueError, match="a folder of their own"):
        list(in_folder(tmp_path, without=tmp_path / "." / ""))


def test_files_named_one_by_one_are_known_by_their_whole_path(tmp_path, monkeypatch):
    """The same relative name in another folder is another track."""
    ids = []
    for album in ("a", "b"):
        (tmp_path / album).mkdir()
        (tmp_path / album / "1.wav").write_bytes(b"x")
        monkeypatch.chdir(tmp_path / album)
        ids += [track.id for track in named([Path("1.wav")])]
    assert ids == [f"{tmp_path.resolve()}/a/1.wav", f"{tmp_path.resolve()}/b/1.wav"]
