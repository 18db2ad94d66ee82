"""A separation from the source to the files, with stubs; whatever hangs fails after a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from stemline.separation import pipeline
from stemline.separation.errors import Cancelled, OutputError
from stemline.separation.extension import Extension
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.media.codecs import Encoding, expected_bytes
from stemline.separation.moments import Moments
from stemline.separation.network import SAMPLE_RATE
from stemline.separation.pipeline import Report, separate_file

DEADLINE_S = 5.0
SONG = Path("song.wav")
LIMITS = MediaLimits(100.0, 1 << 30)
PIECE = SAMPLE_RATE // 4
"""Samples of a block of the source, and of a piece of each stem."""
ENCODINGS = {"vocals": Encoding("wav", 44_100, 0, 2), "accompaniment": Encoding("mp3", 44_100, 128_000, 2)}
OUTPUTS = {
    name: OutputSpec(Path(f"{name}.{encoding.codec}"), encoding.codec) for name, encoding in ENCODINGS.items()
}


class Source:
    """A second of audio, which tells what became of it."""

    tags: Mapping[str, str] = {"title": "a song"}
    source: Any = "what the container says"

    def __init__(self, log: list[str], duration_s: float | None = 1.0) -> None:
        self.duration_s = duration_s
        self.thread = ""
        self.ended = threading.Event()
        self._log = log

    def __iter__(self) -> Iterator[np.ndarray]:
        self.thread = threading.current_thread().name
        for number in range(4):
            time.sleep(0.002)
            yield np.full((PIECE, 2), 0.1 * (number + 1), np.float32)

    def interrupt(self) -> None:
        self._log.append("source interrupted")
        self.ended.set()

    def __enter__(self) -> Self:
        self._log.append("source opened")
        return self

    def __exit__(self, *_: object) -> None:
        self._log.append("source closed")
        self.ended.set()


class Separator:
    """Gives almost three quarters of each block to the vocals; a thousandth is lost."""

    parts = ("vocals", "accompaniment")

    def __init__(self, log: list[str], *, adds_up: bool = True) -> None:
        self.moment_rates: frozenset[int] = frozenset()
        self.asked: dict[str, Any] = {}
        self._adds_up, self._log = adds_up, log

    def adds_up(self, stems: Any) -> bool:
        assert {*OUTPUTS} == {*stems}
        return self._adds_up

    def separate(self, blocks: Any, **asked: Any) -> Generator[Mapping[str, np.ndarray]]:
        self.asked = asked
        try:
            for block in blocks:
                asked["timer"].add("infer", time.perf_counter())
                yield {"vocals": block * 0.749, "accompaniment": block * 0.25}
        finally:
            self._log.append("pieces closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.append("separator closed")


class Writer:
    """The writer of a stem: takes samples, and logs what it is asked for."""

    fails: Mapping[str, Exception]

    def __init__(self, log: list[str], spec: OutputSpec, fails: Mapping[str, Exception]) -> None:
        self.name = spec.path.stem
        self.encoding = ENCODINGS[self.name]
        self.pieces: list[np.ndarray] = []
        self.threads: set[str] = set()
        self._log, self._fails = log, fails

    def write(self, piece: np.ndarray) -> None:
        time.sleep(0.002)
        self.threads.add(threading.current_thread().name)
        self.pieces.append(piece)
        self._do("write", logs=False)

    def finish(self) -> Any:
        self._do("finish")
        return f"{self.name} on record" if "nothing" not in self._fails else None

    def publish(self) -> None:
        self._do("publish")

    def abort(self) -> None:
        self._do("abort")

    def _do(self, what: str, *, logs: bool = True) -> None:
        if logs:
            self._log.append(f"{self.name} {what}")
        if error := self._fails.get(f"{self.name} {what}"):
            raise error


class Bench:
    """A separation whose parts are stubs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.source = Source(self.log)
        self.separator = Separator(self.log)
        self.engine: Any = SimpleNamespace(device="a device")
        self.opened: list[Any] = []
        self.wrote: list[Any] = []
        self.fails: dict[str, Exception] = {}
        self.writers: dict[str, Writer] = {}
        self.separators: list[Any] = []
        monkeypatch.setattr(pipeline, "open_audio", self._open)
        monkeypatch.setattr(pipeline, "open_separator", self._open_separator)
        monkeypatch.setattr(pipeline, "StemWriter", self._writer)

    def run(self, outputs: Mapping[str, OutputSpec] = OUTPUTS, **options: Any) -> Report:
        """Separate; what takes longer than the deadline is an error, and its threads end with the process."""
        done: list[Report] = []
        errors: list[BaseException] = []

        def separate() -> None:
            try:
                done.append(separate_file(self.engine, SONG, outputs, limits=LIMITS, **options))
            except BaseException as error:  # noqa: BLE001 - raised by the test
                errors.append(error)

        thread = threading.Thread(target=separate, daemon=True)
        thread.start()
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the separation does not end"
        if errors:
            raise errors[0]
        return done[0]

    def _open(self, *place: Any, **options: Any) -> Source:
        self.opened.append((place, options))
        return self.source

    def _open_separator(self, *engine: Any, **options: Any) -> Separator:
        self.separators.append((engine, options))
        return self.separator

    def _writer(self, spec: OutputSpec, **options: Any) -> Writer:
        self.wrote.append((spec, options))
        writer = self.writers[spec.path.stem] = Writer(self.log, spec, self.fails)
        return writer


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    before = {*threading.enumerate()}
    yield Bench(monkeypatch)
    left = [
        each for each in threading.enumerate() if each not in before and each.name in ("decode", "encode")
    ]
    for each in left:
        each.join(DEADLINE_S)
    assert [] == [each.name for each in left if each.is_alive()], "threads are left"


def test_the_report_has_what_was_done(bench: Bench) -> None:
    """Length, device, stems and what was measured of each, from the parts that know it."""
    report = bench.run()
    assert (1.0, SAMPLE_RATE, "a device") == (report.duration_s, report.samples, report.device)
    assert {name: f"{name} on record" for name in OUTPUTS} == dict[str, Any](report.stems)
    assert {*OUTPUTS} == {*report.waveforms} == {*report.shares}
    mix = report.mix_waveform
    assert mix is not None
    assert mix != report.waveforms["vocals"] != report.waveforms["accompaniment"]
    assert pytest.approx(-68, abs=1) == report.null_test_db  # a thousandth of the loudest sample, 0.4
    assert pytest.approx(-60, abs=0.1) == report.residual_db


def test_stems_that_do_not_add_up_have_no_null_test(bench: Bench) -> None:
    """The separator says whether they do."""
    bench.separator = Separator(bench.log, adds_up=False)
    assert bench.run().null_test_db is None


def test_what_the_network_leaves_is_measured_of_its_parts(bench: Bench) -> None:
    """A network without independent parts leaves nothing that could be measured."""
    bench.separator.parts = ()  # type: ignore[assignment]
    assert bench.run().residual_db is None


def test_each_stage_is_timed_where_it_works(bench: Bench) -> None:
    """Decoding and encoding in threads of their names; the total is the elapsed time."""
    began = time.perf_counter()
    seconds = bench.run().seconds
    elapsed = time.perf_counter() - began
    assert {"decode", "encode", "infer", "total"} == {*seconds}
    assert 0.008 <= seconds["decode"] <= elapsed
    assert 0.016 <= seconds["encode"] <= 2 * elapsed
    assert 0.008 <= seconds["total"] <= elapsed
    assert "decode" == bench.source.thread
    assert [{"encode"}] * 2 == [writer.threads for writer in bench.writers.values()]


def test_every_stem_gets_its_own_samples(bench: Bench) -> None:
    """In order and complete, whatever the other stem gets."""
    bench.run()
    for name, share in (("vocals", 0.749), ("accompaniment", 0.25)):
        wanted = np.repeat(np.array([0.1, 0.2, 0.3, 0.4], np.float32), PIECE) * np.float32(share)
        got = np.concatenate(bench.writers[name].pieces)
        assert np.allclose(wanted[:, None], got, atol=1e-7)


def test_the_source_is_opened_as_asked(bench: Bench) -> None:
    """Here where there is no decoder: its place, limits, track and origin."""
    bench.run(track="deu", keep_video_origin=True)
    assert [((SONG,), {"limits": LIMITS, "track": "deu", "keep_video_origin": True})] == bench.opened
    bench.run()
    assert ((SONG,), {"limits": LIMITS, "track": None, "keep_video_origin": False}) == bench.opened[-1]


def test_a_decoder_opens_the_source_in_its_place(bench: Bench) -> None:
    """With the same options, and with what tells that the job is cancelled."""
    asked: list[Any] = []

    def open_(*place: Any, **options: Any) -> Source:
        asked.append((place, options))
        return bench.source

    def cancelled() -> bool:
        return False

    decoder: Any = SimpleNamespace(open=open_)
    bench.run(decoder=decoder, track="2", keep_video_origin=True, cancelled=cancelled)
    options = {"limits": LIMITS, "track": "2", "keep_video_origin": True, "cancelled": cancelled}
    assert [((SONG,), options)] == asked
    assert [] == bench.opened


def test_the_separator_is_opened_as_asked(bench: Bench) -> None:
    """Extension, context, refinement and level; Spleeter's own values without any."""
    asked: dict[str, Any] = {"extension": Extension.ZEROS, "context": 64, "refine": True, "level": 2}
    bench.run(**asked)
    plain = {"extension": Extension.AVERAGE, "context": 0, "refine": False, "level": 0}
    bench.run()
    assert [((bench.engine,), asked), ((bench.engine,), plain)] == bench.separators


def test_the_stream_is_separated_as_asked(bench: Bench) -> None:
    """Only the stems that are written are made, and the networks learn of a cancel, too."""

    def cancelled() -> bool:
        return False

    report = bench.run(cancelled=cancelled)
    asked = bench.separator.asked
    assert ("vocals", "accompaniment") == asked["instruments"]
    assert cancelled is asked["cancelled"]
    assert asked["moments"] is None
    assert asked["timer"].seconds == report.seconds


def test_moments_are_measured_before_the_stream_is_separated(bench: Bench) -> None:
    """A network that needs them reads the source twice, with the same options."""
    bench.separator.moment_rates = frozenset({SAMPLE_RATE})
    bench.run(track="1")
    moments = bench.separator.asked["moments"][SAMPLE_RATE]
    assert isinstance(moments, Moments)
    assert SAMPLE_RATE == moments.count
    assert 2 == len(bench.opened)
    assert bench.opened[0] == bench.opened[1]


def test_a_cancel_ends_the_measuring_of_moments(bench: Bench) -> None:
    """Nothing is separated then, and no writer was opened."""
    bench.separator.moment_rates = frozenset({SAMPLE_RATE})
    with pytest.raises(Cancelled):
        bench.run(cancelled=lambda: True)
    assert [] == bench.wrote


def test_writers_know_their_file_and_the_source(bench: Bench) -> None:
    """Tags are kept, and defaults come from the source."""
    bench.run()
    options = {"tags": Source.tags, "source": Source.source}
    assert [(spec, options) for spec in OUTPUTS.values()] == bench.wrote


def test_the_size_is_announced_before_anything_is_written(bench: Bench) -> None:
    """All stems together; whoever is reported may end the separation, and no file is left."""
    reported: list[int] = []

    def refuse(size: int) -> None:
        reported.append(size)
        raise OutputError

    with pytest.raises(OutputError):
        bench.run(expect=refuse)
    assert [sum(expected_bytes(encoding, 1.0) for encoding in ENCODINGS.values())] == reported
    assert [[], []] == [writer.pieces for writer in bench.writers.values()]
    assert {"vocals abort", "accompaniment abort"} <= {*bench.log}


@pytest.mark.parametrize("duration_s", [None, 0.0])
def test_of_a_source_without_a_duration_only_the_end_is_reported(
    bench: Bench, duration_s: float | None
) -> None:
    """Neither a size nor a fraction can be known."""
    reported: list[float] = []
    bench.source.duration_s = duration_s
    bench.run(expect=reported.append, progress=reported.append)
    assert [1.0] == reported


def test_progress_is_the_share_of_the_duration(bench: Bench) -> None:
    """After each piece, with 1 only once the files are in their places."""
    reported: list[tuple[float, bool]] = []

    def progress(fraction: float) -> None:
        reported.append((fraction, "accompaniment publish" in bench.log))

    bench.run(progress=progress)
    assert [(0.25, False), (0.5, False), (0.75, False), (0.99, False), (1.0, True)] == reported
    reported.clear()
    bench.source.duration_s = 2.0
    bench.log.clear()
    bench.run(progress=progress)
    assert [0.125, 0.25, 0.375, 0.5, 1.0] == [fraction for fraction, _ in reported]


def test_files_are_published_once_all_are_complete(bench: Bench) -> None:
    """Then nothing is aborted, and everything is closed in the reverse order of its opening."""
    bench.run()
    assert ["accompaniment finish", "vocals finish"] == sorted(bench.log[1:4])[:1] + sorted(bench.log[1:4])[
        2:
    ]
    assert "pieces closed" in bench.log[1:4]
    assert [
        "vocals publish",
        "accompaniment publish",
        "source interrupted",
        "separator closed",
        "source closed",
    ] == bench.log[4:]


FAULTS = ("vocals write", "accompaniment write", "accompaniment finish", "vocals finish", "vocals publish")


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_of_a_writer_leaves_no_file(bench: Bench, fault: str) -> None:
    """Every stem is aborted, nothing is published after it, and all is closed."""
    bench.fails[fault] = OSError(fault)
    with pytest.raises(OSError, match=fault):
        bench.run()
    assert {"vocals abort", "accompaniment abort"} <= {*bench.log}
    assert "accompaniment publish" not in bench.log
    assert ["separator closed", "source closed"] == bench.log[-2:]
    assert "pieces closed" in bench.log


def test_an_encoder_that_wrote_nothing_is_an_error(bench: Bench) -> None:
    """Even if it says nothing itself."""
    bench.fails["nothing"] = OSError()
    with pytest.raises(OutputError):
        bench.run()
    assert "source closed" in bench.log
    assert not any("publish" in line for line in bench.log)


def cancel_after(calls: int) -> Callable[[], bool]:
    """What tells of a cancel after so many calls."""
    left = iter([False] * calls)
    return lambda: next(left, True)


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_cancel_leaves_no_file(bench: Bench, pieces: int) -> None:
    """It is asked for before each piece; what was written is removed."""
    with pytest.raises(Cancelled):
        bench.run(cancelled=cancel_after(pieces))
    assert {"vocals abort", "accompaniment abort", "source interrupted", "pieces closed"} <= {*bench.log}
    assert "source closed" in bench.log
    assert not any("publish" in line for line in bench.log)
    assert all(len(writer.pieces) <= pieces for writer in bench.writers.values())


def test_a_source_that_waits_is_interrupted_by_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that decodes may wait for a child that is silent: it is reported before it is waited for."""

    def endless(source: Source) -> Iterator[np.ndarray]:
        yield np.zeros((PIECE, 2), np.float32)
        assert source.ended.wait(DEADLINE_S * 2)

    monkeypatch.setattr(Source, "__iter__", endless)
    with pytest.raises(Cancelled):
        bench.run(cancelled=lambda: True)


def test_an_error_of_the_source_comes_to_the_caller(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of the audio."""

    def broken(_: Source) -> Iterator[np.ndarray]:
        yield np.zeros((PIECE, 2), np.float32)
        raise OSError("the source is broken")

    monkeypatch.setattr(Source, "__iter__", broken)
    with pytest.raises(OSError, match="the source is broken"):
        bench.run()
    assert "source closed" in bench.log
    assert not any("publish" in line for line in bench.log)


def test_blocks_are_decoded_and_pieces_queued_within_bounds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight blocks wait for the networks at most, and eight pieces for each encoder."""
    depths: dict[str, set[int]] = {}
    for name in ("Prefetcher", "BackgroundConsumer"):
        real: Any = getattr(pipeline, name)

        def bounded(*args: Any, real: Any = real, **options: Any) -> Any:
            depths.setdefault(options["name"], set()).add(options["depth"])
            return real(*args, **options)

        monkeypatch.setattr(pipeline, name, bounded)
    bench.run()
    assert {"decode": {8}, "encode": {8}} == depths
