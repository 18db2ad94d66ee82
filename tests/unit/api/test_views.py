"""Each element of a job's answer shows its own value: no two values of this job are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stemline.jobs.job import Job, Output, OutputFile, Result
from stemline.jobs.separation import AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant
from stemline.testing.samples import AUDIO, FORMAT, finished_job
from stemline.wire.elements import Document
from stemline.wire.job import JOB
from stemline.wire.times import format_time

SECOND = 1_000_000
START = 1_790_000_000 * SECOND


def distinct_job() -> Job:
    """A finished job in MusicMode, all of whose values differ."""
    sample = finished_job()
    output = Output(
        "ap-out", "out-1250000000", object="bg", au_object="au", bass_object="bass", drum_object="drum"
    )
    spec = replace(
        sample.spec,
        tenant=Tenant("in-1250000000", "ap-in"),
        input_object="in/a",
        separate=VoiceSeparate(AudioMode.MUSIC_MODE, AudioConfig("wav", 48_000, 96, 1)),
        output=output,
        template_id=None,
        template_name=None,
        queue_id="p-queue",
        user_data="data",
        level=2,
    )
    files = tuple(
        OutputFile(track, f"key {number}", f"{number:032x}", number)
        for number, track in enumerate(Track, start=1)
    )
    audios = [{name: f"{name} {number}" for name in AUDIO} for number in range(4)]
    result = Result(files, {"Format": {name: f"of {name}" for name in FORMAT}, "Stream": {"Audio": audios}})
    return replace(
        sample,
        id="j-id",
        spec=spec,
        state=State.SUCCESS,
        created=START,
        started=START + 10 * SECOND,
        ended=START + 30 * SECOND,
        progress=77,
        result=result,
        message="said",
    )


@pytest.mark.parametrize("document", [Document.XML_ANSWER, Document.JSON_ANSWER])
def test_every_element_has_its_own_value(document: Document) -> None:
    """Times, places, names, files and what was measured are those of the job, each under its own name."""
    job = distinct_job()
    shown: Any = JOB.write(job, document)
    assert ("j-id", "said", "77", "p-queue") == (
        shown["JobId"],
        shown["Message"],
        shown["Progress"],
        shown["QueueId"],
    )
    assert [format_time(each) for each in (job.created, job.started, job.ended)] == [
        shown[f"{name}Time"] for name in ("Creation", "Start", "End")
    ]
    assert {"BucketId": "in-1250000000", "Region": "ap-in", "Object": "in/a"} == shown["Input"]
    operation = shown["Operation"]
    expected = {"Object": "bg", "AuObject": "au", "BassObject": "bass", "DrumObject": "drum"}
    assert {"Region": "ap-out", "Bucket": "out-1250000000", **expected} == operation["Output"]
    config = {"Codec": "wav", "Samplerate": "48000", "Bitrate": "96", "Channels": "1"}
    assert {"AudioMode": "MusicMode", "AudioConfig": config} == operation["VoiceSeparate"]
    assert ("data", "2") == (operation["UserData"], operation["JobLevel"])
    file = operation["MediaResult"]["OutputFile"]
    assert ("out-1250000000", "ap-out", "") == (file["Bucket"], file["Region"], file["ObjectPrefix"])
    assert [f"key {number}" for number in (1, 2, 3, 4)] == file["ObjectName"]
    assert [{"Md5": f"{number:032x}", "ObjectName": f"key {number}"} for number in (1, 2, 3, 4)] == file[
        "Md5Info"
    ]
    assert {name: f"of {name}" for name in FORMAT} == operation["MediaInfo"]["Format"]
    audios = operation["MediaInfo"]["Stream"]["Audio"]
    assert [{name: f"{name} {number}" for name in AUDIO} for number in range(4)] == audios
