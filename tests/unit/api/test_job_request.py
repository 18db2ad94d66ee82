"""The checks of a submission: what is taken over, what is refused, and in which order."""

from __future__ import annotations

import dataclasses
import re

import pytest

from stemline.jobs.callback import CallbackRequest, MqConfig
from stemline.jobs.errors import RequestRefused, StemlineError, TemplateNotFound
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.template import Template
from stemline.jobs.tenant import Tenant
from stemline.testing.client import BUCKET, REGION, submission
from stemline.testing.samples import finished_job
from stemline.wire.codec import parse
from stemline.wire.elements import Document
from stemline.wire.errors import code_of, status_of
from stemline.wire.job import INPUT
from stemline.wire.job_request import job_specs

TENANT = Tenant(BUCKET, REGION)
TEMPLATE = Template(
    "t1" + "a" * 32, TENANT, "both", VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig("mp3")), 1, 1
)


def find(template_id: str) -> Template | None:
    return TEMPLATE if template_id == TEMPLATE.id else None


def specs(body: str) -> list[JobSpec]:
    return job_specs(parse(body.encode(), ""), TENANT, find)


def refusal(body: str) -> StemlineError:
    with pytest.raises(StemlineError) as refused:
        specs(body)
    return refused.value


def with_template(output: str, extra: str = "", template: str = TEMPLATE.id) -> str:
    return submission(output=output, operation=f"<TemplateId>{template}</TemplateId>{extra}")


@pytest.mark.shows("QueueType, CallBackKafkaConfig, unknown elements")
def test_all_fields() -> None:
    """Every documented field is taken over."""
    body = submission(
        mode="MusicMode",
        config="<AudioConfig><Codec>wav</Codec><Samplerate>x</Samplerate><Bitrate>9</Bitrate></AudioConfig>",
        output="<Object>${jobid}/o</Object><AuObject>a</AuObject><BassObject>b</BassObject><DrumObject>d</DrumObject>",
        operation="<UserData>order 17 &lt;~&gt;</UserData><JobLevel>2</JobLevel>",
        request="<QueueId>p1</QueueId><CallBackFormat>JSON</CallBackFormat><CallBackType>TDMQ</CallBackType>"
        "<CallBack>http://cb.example/x?y=1</CallBack><CallBackMqConfig><MqRegion>gz</MqRegion>"
        "<MqMode>Topic</MqMode><MqName>voice-done</MqName></CallBackMqConfig>"
        "<QueueType>Speeching</QueueType><CallBackKafkaConfig><Region>x</Region></CallBackKafkaConfig>",
    )
    expected = JobSpec(
        tenant=TENANT,
        input_object="in/song.mp3",
        separate=VoiceSeparate(AudioMode.MUSIC_MODE, AudioConfig("wav", None, 9, None)),
        output=Output(REGION, BUCKET, "${jobid}/o", "a", "b", "d"),
        queue_id="p1",
        user_data="order 17 <~>",
        level=2,
        callback=CallbackRequest(
            "JSON", "TDMQ", "http://cb.example/x?y=1", MqConfig("gz", "Topic", "voice-done")
        ),
    )
    assert [expected] == specs(body)


@pytest.mark.shows("Input, AudioTrack")
@pytest.mark.parametrize("track", ["0", "12", "eng", "de", "zh-Hans"])
def test_audio_track(track: str) -> None:
    """A request may name the audio track; the answer then shows it, in XML and JSON."""
    body = submission().replace("</Object></Input>", f"</Object><AudioTrack>{track}</AudioTrack></Input>")

    spec = specs(body)[0]

    assert track == spec.audio_track
    assert None is specs(submission())[0].audio_track
    for document in (
        Document.XML_ANSWER,
        Document.JSON_ANSWER,
        Document.XML_CALLBACK,
        Document.JSON_CALLBACK,
    ):
        shown = INPUT.write(dataclasses.replace(finished_job(), spec=spec), document)
        assert track == shown["AudioTrack"]
        assert "AudioTrack" not in INPUT.write(finished_job(), document)


@pytest.mark.parametrize("track", ["-1", "100", "e", "eng deu", "1.5", "../x"])
def test_audio_track_refused(track: str) -> None:
    """What is neither a number nor a language is refused, by name."""
    body = submission().replace("</Object></Input>", f"</Object><AudioTrack>{track}</AudioTrack></Input>")

    with pytest.raises(RequestRefused, match=r"Input\.AudioTrack must be"):
        specs(body)


@pytest.mark.shows("AudioConfig")
def test_least_fields() -> None:
    """Everything optional may be missing, also AudioConfig."""
    spec = specs(submission(mode="IsAudio", config="", output="<AuObject>v</AuObject>"))[0]
    assert VoiceSeparate(AudioMode.IS_AUDIO) == spec.separate
    assert (CallbackRequest(), 0, None, "") == (spec.callback, spec.level, spec.user_data, spec.queue_id)


def test_empty_elements_of_the_php_demo() -> None:
    """Empty CallBack, TemplateId and numbers count as absent."""
    body = submission(
        config="<AudioConfig><Codec>mp3</Codec><Samplerate></Samplerate><Bitrate/></AudioConfig>",
        operation="<TemplateId></TemplateId><UserData/><JobLevel/>",
        request="<CallBack></CallBack><QueueId/><CallBackFormat/>",
    )
    spec = specs(body)[0]
    assert (AudioConfig("mp3"), CallbackRequest(), 0) == (
        spec.separate.audio_config,
        spec.callback,
        spec.level,
    )


@pytest.mark.shows("AuObject, BassObject, DrumObject")
def test_surplus_outputs() -> None:
    """Names that the mode does not use are kept for the echo and ignored otherwise."""
    spec = specs(submission(mode="IsAudio"))[0]
    assert ["AuObject"] == [track.value for track in spec.tracks()]
    assert "out/bg.${ext}" == spec.output.object


@pytest.mark.shows("TemplateId")
def test_template_wins() -> None:
    """With both, the template decides and the inline parameters are not even checked."""
    body = submission(mode="Nonsense", operation=f"<TemplateId>{TEMPLATE.id}</TemplateId>")
    spec = specs(body)[0]
    assert (TEMPLATE.separate, TEMPLATE.id, "both") == (spec.separate, spec.template_id, spec.template_name)


@pytest.mark.shows("Operation")
def test_several_operations() -> None:
    """Each Operation becomes a job of its own."""
    body = submission(output="<AuObject>a</AuObject>")
    start = body.index("<Operation>")
    end = body.index("</Operation>") + len("</Operation>")
    one = body[start:end]
    doubled = body[:end] + one.replace("<AuObject>a<", "<AuObject>b<") + body[end:]
    assert ["a", "b"] == [spec.output.au_object for spec in specs(doubled)]
    assert "at most" in refusal(body[:start] + one * 11 + body[end:]).message


@pytest.mark.shows("CallBack, CallBackFormat, CallBackType")
@pytest.mark.parametrize("value", ["no", "NO", "No"])
def test_no_callback(value: str) -> None:
    """``no`` in any case suppresses the queue's callback."""
    assert "no" == specs(submission(request=f"<CallBack>{value}</CallBack>"))[0].callback.url


MQ = "<CallBackType>TDMQ</CallBackType><CallBackMqConfig>{}</CallBackMqConfig>"
GOOD_MQ = "<MqRegion>gz</MqRegion><MqMode>Queue</MqMode><MqName>q</MqName>"
REFUSED = {
    "no tag": submission().replace("<Tag>VoiceSeparate</Tag>", ""),
    "other tag": submission().replace("<Tag>VoiceSeparate<", "<Tag>Transcode<"),
    "no input": submission().replace("<Object>in/song.mp3</Object>", ""),
    "input twice": submission().replace("</Object></Input>", "</Object><Object>x</Object></Input>"),
    "two inputs": submission(request="<Input><Object>x</Object></Input>"),
    "input with control character": submission(source="a\tb"),
    **{
        f"{where} {key}": submission(**{where: key if where == "source" else f"<AuObject>{key}</AuObject>"})
        for where in ("source", "output")
        for key in (".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", "/../a", "a//../${ext}")
    },
    **{
        f"{where} U+{sign:04X}": submission(
            **{where: f"a{chr(sign)}" if where == "source" else f"<AuObject>a{chr(sign)}</AuObject>"}
        )
        for where in ("source", "output")
        for sign in (0x7F, 0x80, 0x85, 0x9B, 0x9F, 0x2028, 0x2029)
    },
    "long input": submission(source="x" * 1025),
    "no operation": "<Request><Tag>VoiceSeparate</Tag><Input><Object>a</Object></Input></Request>",
    "text operation": "<Request><Tag>VoiceSeparate</Tag><Input><Object>a</Object></Input>"
    "<Operation>x</Operation></Request>",
    "no parameters": submission()
    .replace("VoiceSeparate>", "Other>")
    .replace("<Tag>VoiceSeparate</Other>", ""),
    "no mode": submission(mode=""),
    "unknown mode": submission(mode="IsAudio2"),
    "codec": submission(config="<AudioConfig><Codec>ogg</Codec></AudioConfig>"),
    "rate": submission(config="<AudioConfig><Codec>mp3</Codec><Samplerate>8000</Samplerate></AudioConfig>"),
    "rate text": submission(config="<AudioConfig><Samplerate>44k</Samplerate></AudioConfig>"),
    "negative bitrate": submission(config="<AudioConfig><Bitrate>-8</Bitrate></AudioConfig>"),
    "bitrate in another script": submission(
        config="<AudioConfig><Bitrate>\uff16\uff14</Bitrate></AudioConfig>"
    ),
    "channels": submission(config="<AudioConfig><Channels>3</Channels></AudioConfig>"),
    "music codec": submission(mode="MusicMode", config="<AudioConfig><Codec>flac</Codec></AudioConfig>"),
    "no region": submission().replace(f"<Region>{REGION}</Region>", ""),
    "no bucket": submission().replace(f"<Bucket>{BUCKET}</Bucket>", ""),
    "no output names": submission(output=""),
    "no name of the mode": submission(mode="IsAudio", output="<Object>x</Object>"),
    "same names": submission(output="<Object>x.${ext}</Object><AuObject>x.mp3</AuObject>"),
    "long name": submission(output="<Object>x</Object><AuObject>" + "${jobid}" * 40 + "</AuObject>"),
    "long user data": submission(operation=f"<UserData>{'x' * 1025}</UserData>"),
    "user data not ASCII": submission(operation="<UserData>é</UserData>"),
    "user data with a line break": submission(operation="<UserData>a\nb</UserData>"),
    "level": submission(operation="<JobLevel>3</JobLevel>"),
    "level text": submission(operation="<JobLevel>high</JobLevel>"),
    "format": submission(request="<CallBackFormat>YAML</CallBackFormat>"),
    "type": submission(request="<CallBackType>Mail</CallBackType>"),
    "ftp": submission(request="<CallBack>ftp://x/y</CallBack>"),
    "no host": submission(request="<CallBack>http:///y</CallBack>"),
    "bad port": submission(request="<CallBack>http://x:99999/</CallBack>"),
    "blank in URL": submission(request="<CallBack>http://x/a b</CallBack>"),
    "callback word": submission(request="<CallBack>none</CallBack>"),
    "no queue target": submission(request="<CallBackType>TDMQ</CallBackType>"),
    "no region of queue": submission(request=MQ.format("<MqMode>Queue</MqMode><MqName>q</MqName>")),
    "no mode of queue": submission(request=MQ.format("<MqRegion>gz</MqRegion><MqName>q</MqName>")),
    "no name of queue": submission(request=MQ.format("<MqRegion>gz</MqRegion><MqMode>Queue</MqMode>")),
    "queue region": submission(request=MQ.format(GOOD_MQ.replace("gz", "zz"))),
    "queue mode": submission(request=MQ.format(GOOD_MQ.replace("Queue<", "Stack<"))),
    "queue name": submission(request=MQ.format(GOOD_MQ.replace(">q<", ">1 q<"))),
    "template without the track": with_template("<BassObject>b</BassObject>"),
    "template with same names": with_template("<Object>x.mp3</Object><AuObject>x.${ext}</AuObject>"),
}


NAMED = {
    "tag": "Tag",
    "operation": "Operation",
    "parameters": "VoiceSeparate",
    "mode": "AudioMode",
    "unknown mode": "AudioMode",
    "codec": "Codec",
    "rate": "Samplerate",
    "rate text": "Samplerate",
    "negative bitrate": "Bitrate",
    "bitrate in another script": "Bitrate",
    "channels": "Channels",
    "region": "Output.Region",
    "bucket": "Output.Bucket",
    "output names": "Output",
    "name of the mode": "Output.AuObject",
    "template without the track": "Output.AuObject",
    "same names": "outputs",
    "template with same names": "outputs",
    "long name": "output name",
    "level": "JobLevel",
    "level text": "JobLevel",
    "format": "CallBackFormat",
    "type": "CallBackType",
    "queue target": "MqName",
    "region of queue": "MqRegion",
    "mode of queue": "MqMode",
    "name of queue": "MqName",
    "queue region": "MqRegion",
    "queue mode": "MqMode",
    "queue name": "MqName",
}
"""What the reason names, by the kind of a refusal without its first word; see `named`."""


def named(kind: str) -> str:
    """The field that the reason of a refusal must name."""
    if kind in {"ftp", "no host", "bad port", "blank in URL", "callback word"}:
        return "CallBack"
    if "user data" in kind:
        return "UserData"
    if kind.startswith("output "):
        return "AuObject"
    if "input" in kind or kind.startswith("source "):
        return "Input" if kind == "two inputs" else "Object"
    return NAMED.get(kind) or NAMED[kind.partition(" ")[2]]


@pytest.mark.shows("Tag", "Input, Object", "Output, Region, Bucket", "UserData")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """Each kind of bad argument is refused as InvalidArgument with a reason that names the field."""
    error = refusal(REFUSED[name])
    assert ("InvalidArgument", 400) == (code_of(error), status_of(error))
    assert re.search(rf"(?<![A-Za-z]){re.escape(named(name))}(?![A-Za-z])", error.message), error.message


def test_complete_queue_target() -> None:
    """The same target with all three parts is accepted, so that the refusals above mean something."""
    assert specs(submission(request=MQ.format(GOOD_MQ)))[0].callback.mq == MqConfig("gz", "Queue", "q")


def test_unknown_template() -> None:
    """An unknown template has its own code, with status 400 in a body."""
    error = refusal(with_template("<AuObject>a</AuObject>", template="t1" + "b" * 32))
    assert (TemplateNotFound, 400) == (type(error), status_of(error))


@pytest.mark.parametrize(
    ("earlier", "later", "word"),
    [
        ({"mode": "X"}, {"operation": "<JobLevel>9</JobLevel>"}, "AudioMode"),
        ({"config": "<AudioConfig><Codec>x</Codec></AudioConfig>"}, {"output": ""}, "Codec"),
        ({"output": ""}, {"operation": "<JobLevel>9</JobLevel>"}, "Output"),
        ({"operation": "<JobLevel>9</JobLevel><TemplateId>t1</TemplateId>"}, {}, "JobLevel"),
    ],
)
def test_order(earlier: dict[str, str], later: dict[str, str], word: str) -> None:
    """Of two faults, the answer names the one that the specification checks first."""
    assert word in refusal(submission(**(later | earlier))).message
