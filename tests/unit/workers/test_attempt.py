"""The stages of an attempt that succeeds: what each gets, and what it leaves on record."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.errors import (
    TargetDenied,
)
from stemline.jobs.job import Output
from stemline.jobs.separation import AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.separation.measure import Levels
from stemline.separation.pipeline import Report
from stemline.separation.shares import Doubt, Share
from stemline.separation.waveform import Waveform
from stemline.workers.outcome import AttemptResult, Outcome
from tests.support.attempts import JOB_ID, md5_of


def test_success(make):
    """Both uploads are opened first, sent and completed, then the success is recorded; nothing is deleted."""
    bench = make()
    assert AttemptResult(Outcome.SUCCESS) == bench.run()
    assert ["open", "open", "download", "send", "send", "complete", "complete"] == bench.buckets.names()
    (_, result, _), _ = bench.store.arguments("succeed")
    assert ["out/voice.mp3", "out/bg.mp3"] == [file.key for file in result.files]
    assert ["job_started"] == bench.events.names()


INSTRUMENTS = {
    AudioMode.IS_AUDIO: {Track.VOICE: "vocals"},
    AudioMode.IS_BACKGROUND: {Track.BACKGROUND: "accompaniment"},
    AudioMode.AUDIO_AND_BACKGROUND: {Track.VOICE: "vocals", Track.BACKGROUND: "accompaniment"},
    AudioMode.MUSIC_MODE: {
        Track.VOICE: "vocals",
        Track.BACKGROUND: "other",
        Track.BASS: "bass",
        Track.DRUM: "drums",
    },
}
"""Spleeter's name of each track, by mode."""


@pytest.mark.parametrize("mode", AudioMode)
def test_each_track_is_its_own_instrument(make, mode):
    """Under a track's key are the file, the MD5 and the size of its instrument, and so on record."""
    bench = make()
    names = {track: f"out/{track}.mp3" for track in Track}
    output = Output(
        "ap-chongqing",
        "media-1250000000",
        object=names[Track.BACKGROUND],
        au_object=names[Track.VOICE],
        bass_object=names[Track.BASS],
        drum_object=names[Track.DRUM],
    )
    separate = VoiceSeparate(mode, AudioConfig(codec="mp3"))
    bench.job = replace(bench.job, spec=replace(bench.job.spec, separate=separate, output=output))
    models: list[str] = []

    def engine(model: str, _version: str) -> Any:
        models.append(model)
        return SimpleNamespace(device="test")

    bench.context.engine = engine
    assert AttemptResult(Outcome.SUCCESS) == bench.run()
    wanted = INSTRUMENTS[mode]
    assert ["4stems" if mode is AudioMode.MUSIC_MODE else "2stems"] == models
    (_, _, outputs), _ = bench.engine.arguments("separate_file")
    sent = {args[0].key: args[1] for name, args, _ in bench.buckets.calls if name == "send"}
    assert {names[track]: outputs[name].path for track, name in wanted.items()} == sent
    (_, result, _), _ = bench.store.arguments("succeed")
    keys = {name: names[track] for track, name in wanted.items()}
    assert [(track, keys[name], md5_of(keys[name]), 1000 * len(name)) for track, name in wanted.items()] == [
        (file.track, file.key, file.md5, file.size) for file in result.files
    ]
    rates = [stem["SampleRate"] for stem in result.media_info["Stream"]["Audio"]]
    assert [str(1000 * len(name)) for name in wanted.values()] == rates


def test_the_separation_gets_what_job_and_settings_say(make):
    """Every parameter of the job, every limit and option of the settings, and the engine's decoder arrive."""
    bench = make(
        source_max_bytes=1_000_001,
        source_max_duration_s=1002,
        source_max_pause_s=13,
        mask_extension="zeros",
        context_frames=64,
        refine=True,
        keep_video_origin=True,
    )
    config = AudioConfig("wav", samplerate=48_000, bitrate=96, channels=1, bit_depth=24)
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, config)
    bench.job = replace(
        bench.job, token=5, spec=replace(bench.job.spec, separate=separate, audio_track="deu")
    )
    engine, decoder = SimpleNamespace(device="test"), object()
    bench.context.engine, bench.context.decoder = lambda *_: engine, decoder
    bench.run()
    (given, _, outputs), options = bench.engine.arguments("separate_file")
    assert engine is given
    for spec in outputs.values():
        assert ("wav", 48_000, 96, 1, 24) == (
            spec.codec,
            spec.samplerate,
            spec.bitrate_kbps,
            spec.channels,
            spec.bit_depth,
        )
    limits = options["limits"]
    assert (1002, 1_000_001, 13) == (limits.max_duration_s, limits.max_bytes, limits.max_pause_s)
    assert ("zeros", 64, True, "deu", True) == (
        options["extension"],
        options["context"],
        options["refine"],
        options["track"],
        options["keep_video_origin"],
    )
    assert decoder is options["decoder"]
    assert 1_000_001 == bench.buckets.arguments("download")[1]["max_bytes"]
    opened = bench.buckets.arguments("open")[1]
    assert ("audio/wav", 5, bench.job.id) == (opened["content_type"], opened["token"], opened["job_id"])


def test_music_ignores_all_but_the_codec(make):
    """Rate, bitrate and channels have no effect in MusicMode: the model's rate, in stereo."""
    bench = make()
    config = AudioConfig("mp3", samplerate=48_000, bitrate=96, channels=1)
    bench.job = replace(
        bench.job, spec=replace(bench.job.spec, separate=VoiceSeparate(AudioMode.MUSIC_MODE, config))
    )
    bench.run()
    (_, _, outputs), _ = bench.engine.arguments("separate_file")
    assert {(None, None, 2)} == {
        (each.samplerate, each.bitrate_kbps, each.channels) for each in outputs.values()
    }


def test_uploads_are_on_record_before_anything_is_sent(make):
    """Each upload is registered when it is opened, with those before it, under the attempt's token."""
    bench = make()
    bench.job = replace(bench.job, token=5)
    bench.run()
    known = [args for name, args, _ in bench.store.calls if name == "register_uploads"]
    keys = ["out/voice.mp3", "out/bg.mp3"]
    assert [(JOB_ID, 5, keys[:1]), (JOB_ID, 5, keys)] == [
        (job_id, token, [each["key"] for each in uploads]) for job_id, token, uploads in known
    ]
    names = bench.buckets.names()
    assert max(i for i, name in enumerate(names) if name == "open") < names.index("send")


def test_a_job_that_is_to_stop_is_stopped_in_every_stage(make):
    """Download, separation, sending and completing ask the lease whether to go on."""
    bench = make()
    bench.run()
    calls = [*bench.buckets.calls, *bench.engine.calls]
    asked = {name: options["cancelled"].__name__ for name, _, options in calls if "cancelled" in options}
    assert dict.fromkeys(("open", "download", "send", "complete", "separate_file"), "should_stop") == asked


def test_progress_rises_through_the_stages(make):
    """From 5 after the download over the share of the separation to 95."""
    bench = make()
    seen: list[int] = []

    def separate(*args: Any, progress: Any, **options: Any) -> Report:
        keeper = bench.buckets.arguments("download")[1]["cancelled"].__self__
        seen.append(keeper.progress)
        for share in (0.0, 0.5, 1.0):
            progress(share)
            seen.append(keeper.progress)
        return bench._separate(*args, progress=progress, **options)

    bench.engine.results["separate_file"] = separate
    bench.run()
    assert [5, 5, 50, 95] == seen


def test_what_was_measured_is_on_record(make):
    """Levels of each stem, the null test, and the waveforms of the mix and of each stem, by track."""
    bench = make()

    def measured(*args: Any, **options: Any) -> Report:
        report = bench._separate(*args, **options)
        stems = {
            name: replace(
                stem, levels=Levels(peak_db=-float(len(name)), clipped=len(name), loudness_lufs=-20.0)
            )
            for name, stem in report.stems.items()
        }
        waves = {name: Waveform(256, name) for name in stems}
        return replace(
            report,
            stems=stems,
            waveforms=waves,
            mix_waveform=Waveform(256, "mix"),
            null_test_db=-120.5,
            shares={"vocals": Share(-3.0), "accompaniment": Share(None, Doubt.SILENT)},
            residual_db=-23.0,
        )

    bench.engine.results["separate_file"] = measured
    bench.run()
    (_, result, waveforms), _ = bench.store.arguments("succeed")
    assert [(-6.0, 6), (-13.0, 13)] == [(each.levels.peak_db, each.levels.clipped) for each in result.files]
    assert [(-3.0, ""), (None, "silent")] == [(f.levels.share_db, f.levels.doubt) for f in result.files]
    assert (-120.5, -23.0) == (result.null_test_db, result.residual_db)
    assert [("Mix", "mix"), ("AuObject", "vocals"), ("Object", "accompaniment")] == [
        (each.name, each.data) for each in waveforms
    ]


def test_a_destination_that_refuses_costs_neither_download_nor_separation(make):
    """The uploads are opened first, so a denied bucket fails the job at once."""
    bench = make()
    bench.buckets.errors["open"] = [TargetDenied("denied")]
    assert AttemptResult(Outcome.FAILED, "WriteTargetBucketDenied", "denied") == bench.run()
    assert "download" not in bench.buckets.names()
    assert [] == bench.engine.names()
