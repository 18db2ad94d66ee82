"""The job of the examples in the wire specification (docs/wire/wire.md)."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.job import Job, JobSpec, Output, OutputFile, Result, StemLevels
from stemline.jobs.separation import AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant
from stemline.wire.times import parse_time

JOB_ID = "j5d0c1a2eb81411ef9b3a525400a1b2c3"
FORMAT = {
    "Bitrate": "192.213000",
    "Duration": "30.040816",
    "FormatLongName": "MP2/3 (MPEG audio layer 2/3)",
    "FormatName": "mp3",
    "NumProgram": "0",
    "NumStream": "1",
    "Size": "721771",
    "StartTime": "0.025057",
}
AUDIO = {
    "Bitrate": "192.000000",
    "Channel": "2",
    "ChannelLayout": "stereo",
    "CodecLongName": "MP3 (MPEG audio layer 3)",
    "CodecName": "mp3",
    "CodecTag": "0x0000",
    "CodecTagString": "[0][0][0][0]",
    "CodecTimeBase": "1/44100",
    "Duration": "30.040816",
    "Index": "0",
    "Language": "und",
    "SampleFmt": "fltp",
    "SampleRate": "44100",
    "StartTime": "0.025057",
    "Timebase": "1/14112000",
}


def job_spec(callback: CallbackRequest | None = None, credential: str = "") -> JobSpec:
    """Return what the example asks for."""
    return JobSpec(
        tenant=Tenant("media-1250000000", "ap-chongqing"),
        input_object="in/talk.mp4",
        separate=VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="mp3")),
        output=Output(
            "ap-chongqing", "media-1250000000", object="out/bg.${ext}", au_object="out/voice.${ext}"
        ),
        template_id="t1aa0c7e5d1b3f4e2c9d6f708192a3b4c5",
        template_name="vs_mp3_both",
        queue_id="p7c9e6679742540de944be07fc1f90ae7",
        user_data="order 17",
        level=1,
        callback=callback or CallbackRequest(),
        credential=credential,
    )


def job_result(audios: int = 2) -> Result:
    """Return the result of the example."""
    files = (
        OutputFile(Track.VOICE, "out/voice.mp3", "0cc175b9c0f1b6a831c399e269772661", 721771),
        OutputFile(Track.BACKGROUND, "out/bg.mp3", "92eb5ffee6ae2fec3ad71c777531578f", 721771),
    )
    return Result(files, {"Format": FORMAT, "Stream": {"Audio": [AUDIO] * audios}})


def finished_job(job_id: str = JOB_ID, *, audios: int = 2, credential: str = "") -> Job:
    """Return the finished job of the example."""
    return Job(
        id=job_id,
        spec=job_spec(credential=credential),
        state=State.SUCCESS,
        created=parse_time("2026-03-01T10:20:30+0800"),
        started=parse_time("2026-03-01T10:20:31+0800"),
        ended=parse_time("2026-03-01T10:21:04+0800"),
        result=job_result(audios),
    )


def measured_job() -> Job:
    """Return the finished job with the levels of its stems, in 24 bits."""
    job = finished_job()
    levels = (StemLevels(-0.104, 0, -14.26), StemLevels(1.25, 17, None))
    files = tuple(replace(file, levels=one) for file, one in zip(job_result().files, levels, strict=True))
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav", bit_depth=24))
    return replace(
        job,
        spec=replace(job.spec, template_id=None, template_name=None, separate=separate),
        result=replace(job_result(), files=files, null_test_db=-138.5),
    )
