"""Many tracks: where they are found, what is kept of them."""

from __future__ import annotations

import errno
import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.client.errors import AccessDenied, ApiError, ConnectionFailed, SlowDown, TransferFailed
from stemline.client.objects import Object
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.left import left
from stemline.client.tracks.manifest import Manifest, ManifestError, look
from stemline.client.tracks.pace import Pace, Stopped, has_no_room
from stemline.client.tracks.places import placed, taken, targets
from stemline.client.tracks.sources import Track, below_prefix, in_folder, in_list, lines_of, named

PATTERN = "{dir}/{name}-{stem}.{ext}"


def opened(path, source="folder", **parameters):
    return Manifest(path, source, {"stems": 2, **parameters})


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["album/a.mp3", "stems/own/a.mp3", "uploads/20260301T1-aa/b.mp3"]),
        ("stems/", ["stems/own/a.mp3"]),
        ("stems/0123456789abcdef/", ["stems/0123456789abcdef/d-1/voice.wav"]),
        ("stems/j" + "0" * 32 + "/", ["stems/j" + "0" * 32 + "/voice.wav"]),
    ],
)
def test_what_runs_wrote_is_not_found_below_a_prefix(prefix, found):
    """A run over a whole bucket is not over its own stems the next time, unless the prefix names them."""
    keys = [
        "album/a.mp3",
        "album/a.txt",
        "stems/own/a.mp3",
        "stems/0123456789abcdef/d-1/voice.wav",
        "stems/j" + "0" * 32 + "/voice.wav",
        "uploads/0123456789abcdef/d/c.mp3",
        "uploads/20260301T1-aa/b.mp3",
    ]
    bucket: Any = SimpleNamespace(
        list=lambda start: [Object(key, 1) for key in keys if key.startswith(start)]
    )
    assert found == [track.key for track in below_prefix(bucket, prefix)]


def test_what_was_written_is_there_after_a_new_start(tmp_path):
    """The latest line of each track counts; the keys of a repeated submission are the same."""
    file = tmp_path / "out" / "m.jsonl"
    with opened(file) as manifest:
        entry = manifest.begin(Entry("a.mp3"), "uploads/a.mp3")
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
        manifest.begin(Entry("a"), "k")
        whole = file.stat().st_size
        manifest.begin(Entry("b"), "k")
    content = file.read_bytes()
    file.write_bytes(content[: max(whole, len(content) - cut)])
    with opened(file) as again:
        assert {"a"} == set(again.entries)
        again.begin(Entry("c"), "k")
    with opened(file) as last:
        assert {"a", "c"} == set(last.entries)


def test_a_manifest_is_for_one_source_and_one_set_of_options(tmp_path):
    """Once jobs may have been made, other options are refused, with what differs."""
    file = tmp_path / "m.jsonl"
    with opened(file, codec="wav") as manifest:
        manifest.sent(manifest.begin(Entry("a"), "k"), "k")
    with pytest.raises(ManifestError, match="codec 'wav', not 'mp3'"):
        opened(file, codec="mp3")
    with pytest.raises(ManifestError, match="source 'folder', not 'other'"):
        opened(file, "other", codec="wav")
    (tmp_path / "x").write_text("{}\n")
    with pytest.raises(ManifestError, match="not a manifest"):
        opened(tmp_path / "x")


def test_a_manifest_is_looked_at_as_a_run_would_find_it(tmp_path):
    """A look changes nothing, and is refused where the run would be: other options, a second run."""
    file = tmp_path / "m.jsonl"
    assert {} == look(file, "folder", {})
    assert not file.exists()
    with opened(file, codec="wav") as manifest:
        assert {} == look_at_free(file, codec="mp3")
        manifest.sent(manifest.begin(Entry("a"), "k"), "k")
        with pytest.raises(ManifestError, match="in use"):
            look(file, "folder", {"stems": 2, "codec": "wav"})
    before = file.read_bytes()
    assert {"a": "sent"} == {name: entry.state for name, entry in look_at_free(file, codec="wav").items()}
    with pytest.raises(ManifestError, match="codec 'wav', not 'mp3'"):
        look_at_free(file, codec="mp3")
    with pytest.raises(ManifestError, match="source 'folder', not 'other'"):
        look(file, "other", {"stems": 2, "codec": "wav"})
    assert before == file.read_bytes()


def look_at_free(file, **parameters):
    """Look at a copy, which no run holds."""
    copy = file.with_name("copy.jsonl")
    copy.write_bytes(file.read_bytes())
    return look(copy, "folder", {"stems": 2, **parameters})


def test_a_manifest_that_cannot_be_written_is_named_and_removed(tmp_path, monkeypatch):
    """A full disk leaves no empty manifest behind, and one that was there stays; the error names the file."""
    old = tmp_path / "old.jsonl"
    with opened(old) as manifest:
        manifest.sent(manifest.begin(Entry("a"), "k"), "k")
    before = old.read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("stemline.client.tracks.manifest.os.fsync", full)
    new = tmp_path / "new.jsonl"
    with pytest.raises(OSError, match="No space left on device") as caught:
        opened(new)
    assert (str(new), errno.ENOSPC) == (caught.value.filename, caught.value.errno)
    assert not new.exists()
    with opened(old) as manifest, pytest.raises(OSError, match="No space left on device") as caught:
        manifest.unsent(manifest.entry("a"))
    assert str(old) == caught.value.filename
    assert old.read_bytes().startswith(before)


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
    """A line is a file if there is one, however spelled, else a key; comments and empty lines are none."""
    (tmp_path / "song.mp3").write_bytes(b"x")
    lines = ["#EXTM3U", "", "song.mp3\r", "in/a b.mp3", "s3://media-1/in/c.mp3"]
    found = list(in_list(lines, base=tmp_path, bucket="media-1"))
    assert [tmp_path / "song.mp3", None, None] == [track.path for track in found]
    assert ["", "in/a b.mp3", "in/c.mp3"] == [track.key for track in found]
    with pytest.raises(ValueError, match="bucket media-1"):
        list(in_list(["s3://other/x.mp3"], base=tmp_path, bucket="media-1"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp3").write_bytes(b"x")
    spellings = list(in_list(["a/../a/b.mp3", "a//./b.mp3"], base=tmp_path, bucket="media-1"))
    assert {("a/b.mp3", "a", "b")} == {(each.id, each.folder, each.name) for each in spellings}


KINDS = [("voice", "wav"), ("background", "wav")]


def keys(*names):
    return list(in_list(names, base=Path("/none"), bucket="b"))


def test_no_two_tracks_write_the_same_file():
    """Tracks that differ in their extension alone are named by it; a pattern without a name is refused."""
    tracks = placed(keys("a/song.mp3", "a/song.wav", "b/song.mp3", "a/song.mp3"), {}, PATTERN)
    assert ["song.mp3", "song.wav", "song"] == [track.name for track in tracks]
    with pytest.raises(ValueError, match="the same files"):
        placed(tracks, {}, "{stem}.{ext}")
    assert 3 == len(placed(tracks, {}, "{jobid}-{stem}.{ext}"))


TWINS = [
    ["Song.mp3", "song.mp3"],
    ["cafe\u0301.mp3", "caf\u00e9.mp3"],
    ["caf\udce9.mp3", "caf\udce8.mp3"],
    ["disc1/01.mp3", "disc2/01.mp3"],
    ["Disc/01.mp3", "disc/01.mp3"],
    ["a/disc/01.mp3", "b/disc/01.mp3", "a/disc/01.wav"],
    ["x" * 240 + "a.mp3", "x" * 240 + "b.mp3"],
    ["stra\u00dfe.mp3", "STRASSE.mp3"],
    ["a_b.mp3", "a\tb.mp3"],
]


@pytest.mark.parametrize("names", TWINS, ids=range(len(TWINS)))
@pytest.mark.parametrize("pattern", [PATTERN, "{name}-{stem}.{ext}"])
def test_twins_have_places_of_their_own(names, pattern):
    """Names that some file system takes for one get files that no file system mixes up."""
    tracks = [Track(name, key=name, folder="", name=keys(name)[0].name) for name in names]
    found = placed(tracks, {}, pattern)
    files = [str(path).casefold() for track in found for path in targets(pattern, track.values, KINDS)]
    assert 2 * len(names) == len(set(files))
    assert all(len(Path(file).name.encode()) < 256 for file in files)


def test_a_name_that_was_given_stays(tmp_path):
    """A track that was begun keeps its name when a twin comes later, which then takes another one."""
    first = placed(keys("a/song.mp3"), {}, PATTERN)[0]
    entries = {first.id: Entry(first.id, "done", folder=first.folder, name=first.name)}
    both = placed(keys("a/song.mp3", "a/song.wav"), entries, PATTERN)
    assert ["song", "song.wav"] == [track.name for track in both]


def test_files_of_others_are_found_before_anything_is_sent(tmp_path):
    """Files that are there already are named with the track that they belong to; a track's own are not."""
    for name in ("own", "other", "stranger"):
        (tmp_path / f"{name}-voice.wav").write_bytes(b"x")
    entries = {
        "own.mp3": Entry("own.mp3", "submitted", files={"voice": "own-voice.wav"}),
        "x/other.mp3": Entry("x/other.mp3", "done", files={"voice": "other-voice.wav"}),
    }
    tracks = keys("own.mp3", "other.mp3", "stranger.mp3", "new.mp3")
    found = taken(tracks, entries, tmp_path, PATTERN, KINDS)
    assert [("other-voice.wav", "x/other.mp3"), ("stranger-voice.wav", "")] == [
        (each.path.name, each.owner) for each in found
    ]
    assert [] == taken(tracks, entries, tmp_path, "{jobid}-{stem}.{ext}", KINDS)
    with pytest.raises(ValueError, match="two stems the same file"):
        taken(tracks, entries, tmp_path, "{name}.{ext}", KINDS)


def test_a_second_try_is_for_what_failed():
    """With --retry-failed only failed tracks are left, and those whose second job was interrupted."""
    entries = {
        name: Entry(name, state, turn)
        for name, state, turn in (
            ("done", "done", 2),
            ("failed", "failed", 1),
            ("sent", "sent", 1),
            ("again", "submitted", 2),
        )
    }
    tracks = [Track(name) for name in (*entries, "new")]
    assert ["failed", "again"] == [track.id for track in left(tracks, entries, Path(), retry_failed=True)]
    assert ["sent", "again", "new"] == [track.id for track in left(tracks, entries, Path())]


def test_lists_of_every_encoding_are_read():
    """Names that are not UTF-8, line ends of other systems and NUL between names are taken as they are."""
    assert ["caf\udce9.mp3", "b.mp3", ""] == lines_of(b"caf\xe9.mp3\r\nb.mp3\r\n")
    assert ["a\nb.mp3", "c.mp3", ""] == lines_of(b"a\nb.mp3\0c.mp3\0")
    assert ["\u65e5.mp3", "b.mp3"] == lines_of("\u65e5.mp3\r\nb.mp3".encode("utf-16"))
    assert ["a\x0bb\x85.mp3"] == lines_of("\ufeffa\x0bb\x85.mp3".encode())


def test_a_file_of_a_list_may_look_like_a_comment(tmp_path):
    """A line that names a file is that file, whatever it begins or ends with; a folder is refused."""
    for name in ("#1 hit.mp3", " spaced.mp3 "):
        (tmp_path / name).write_bytes(b"x")
    found = in_list(["#1 hit.mp3", " spaced.mp3 ", "# a comment", "./#1 hit.mp3"], base=tmp_path, bucket="b")
    assert ["#1 hit.mp3", " spaced.mp3 ", "#1 hit.mp3"] == [track.id for track in found]
    long = next(iter(in_list(["y" * 400], base=tmp_path, bucket="b")))
    assert "y" * 400 == long.key
    (tmp_path / "album").mkdir()
    with pytest.raises(ValueError, match="album is a folder"):
        list(in_list(["album"], base=tmp_path, bucket="b"))


class Flaky:
    """Fails in given ways, then succeeds."""

    def __init__(self, *faults):
        self.faults = list(faults)

    def __call__(self):
        if self.faults:
            raise self.faults.pop(0)
        return "done"


class Time:
    """Seconds, which pass only while somebody waits."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def pace(monkeypatch, time):
    """A pace whose pauses take no time; it keeps what it reports."""
    said: list[str] = []
    made = Pace(threading.Event(), said.append, time)

    def wait(moment):
        made.check()
        time.now = max(time.now, moment)

    monkeypatch.setattr(made, "_wait_until", wait)
    return made, said


def test_what_may_succeed_later_is_repeated(pace):
    """A full queue, a service that is away and a bucket that fails are waited for, and said."""
    made, said = pace
    full = SlowDown("SlowDown", "The queue has reached its limit", status=503, retry_after_s=7)
    faults = [full, ConnectionFailed("x"), TransferFailed("a.mp3 could not be sent: reset")]
    assert "done" == made.retry(Flaky(*faults), tries=3)
    assert "The queue has reached its limit (SlowDown); trying again in 7 s" == said[0]
    assert said[2].startswith("a.mp3 could not be sent: reset; trying again")
    assert "" == said[-1]


def test_a_service_that_asks_to_wait_is_waited_for(pace):
    """However often it answers SlowDown, a run goes on; five other errors of the service end it."""
    made, _ = pace
    full = SlowDown("SlowDown", "full", status=503)
    broken = ApiError("InternalError", "m", status=500)
    assert "done" == made.retry(Flaky(*[full] * 30))
    assert "done" == made.retry(Flaky(*[full, broken] * 4))
    with pytest.raises(ApiError):
        made.retry(Flaky(*[full, broken] * 5))
    with pytest.raises(ApiError):
        made.retry(Flaky(ApiError("InvalidArgument", "m", status=400)))


def test_the_budget_begins_with_the_first_fault(pace, time):
    """After hours without a request a lost connection is waited for; after 15 minutes of faults it is not."""
    made, _ = pace
    assert "done" == made.retry(Flaky())
    time.now += 7_200
    assert "done" == made.retry(Flaky(*[ConnectionFailed("x")] * 20))
    time.now += 7_200
    began = time.now
    with pytest.raises(ConnectionFailed):
        made.retry(Flaky(*[ConnectionFailed("x")] * 99))
    assert 900 < time.now - began < 1_000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENOTDIR, errno.EISDIR])
def test_a_fault_of_the_disk_is_not_waited_for(pace, number):
    """A full disk or an invalid folder is reported at once: another try would fail too."""
    made, said = pace
    fault = TransferFailed("x")
    fault.__cause__ = OSError(number, "why")
    with pytest.raises(TransferFailed):
        made.retry(Flaky(fault), tries=9)
    assert [] == said
    assert (number == errno.ENOSPC) == has_no_room(fault)


def test_what_will_not_succeed_is_not_repeated(pace):
    """A refusal, a file that is gone and the end of the run are reported at once."""
    made, _ = pace
    with pytest.raises(AccessDenied):
        made.retry(Flaky(AccessDenied("AccessDenied", "m", status=403)))
    gone = TransferFailed("x")
    gone.__cause__ = FileNotFoundError(errno.ENOENT, "gone")
    with pytest.raises(TransferFailed):
        made.retry(Flaky(gone), tries=9)
    with pytest.raises(TransferFailed):
        made.retry(Flaky(*[TransferFailed("x")] * 3), tries=3)
    made._stop.set()
    with pytest.raises(Stopped):
        made.retry(Flaky())


def test_options_that_led_to_no_job_may_be_corrected(tmp_path):
    """What was refused before any job was made may be changed; then the corrected options count."""
    file = tmp_path / "m.jsonl"
    with opened(file, callback="ftp://x") as manifest:
        manifest.unsent(manifest.sent(manifest.begin(Entry("a"), "k"), "k"))
        manifest.put(Entry("b", "failed", code="InvalidArgument", key="k"))
    with opened(file, callback="http://x") as again:
        assert ("sending", "failed") == (again.entry("a").state, again.entry("b").state)
        assert manifest.run_id == again.run_id
        again.submitted(again.sent(again.entry("a"), "k"), "j1")
    with pytest.raises(ManifestError, match="callback 'http://x', not 'ftp://x'"):
        opened(file, callback="ftp://x")
    opened(file, callback="http://x").__exit__(None, None, None)


def test_a_track_is_done_while_its_stems_are_there_and_its_source_is_the_same(tmp_path):
    """A stem that is missing or has another size, or a source that changed, leaves something to be done."""
    entry = Entry("a", "done", job="j", files={"voice": "v"}, sizes={"v": 1}, stamp="1 1")
    track = Track("a", key="a", stamp="1 1")

    def is_left(track, **options):
        return bool(left([track], {"a": entry}, tmp_path, **options))

    assert is_left(track)
    assert not is_left(track, waits=False)
    assert not is_left(track, retry_failed=True)
    (tmp_path / "v").write_bytes(b"x")
    assert not is_left(track)
    assert is_left(replace(track, stamp="1 2"))
    assert is_left(replace(track, stamp="1 2"), waits=False)
    assert not is_left(replace(track, stamp=""))
    (tmp_path / "v").write_bytes(b"xx")
    assert is_left(track)


def test_a_line_is_json(tmp_path):
    """Other programs can read the manifest line by line."""
    with opened(tmp_path / "m.jsonl") as manifest:
        manifest.begin(Entry("a"), "k")
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
