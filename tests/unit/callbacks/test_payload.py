"""The bodies, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from stemline.jobs.job import Output
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.testing.samples import finished_job
from stemline.wire.callback import json_body, xml_body
from tests.paths import SPECIFICATION

HERE = Path(__file__).parent
XML = (HERE / "finished.xml").read_bytes()
JSON = (HERE / "finished.json").read_bytes()


def test_the_xml_body_is_the_specifications_example():
    """A finished job's XML body is the specification's example, byte for byte."""
    assert XML == xml_body(finished_job())


def test_the_json_body_is_the_specifications_example():
    """A finished job's JSON body is the specification's example, byte for byte."""
    assert JSON == json_body(finished_job(audios=1))


def test_the_examples_here_are_those_of_the_specification():
    """The bytes these tests compare with are the ones printed in the specification."""
    text = SPECIFICATION.read_text()
    assert JSON.decode() in text
    info, result = re.search("(<MediaInfo>.*</MediaInfo>)\n(<MediaResult>.*</MediaResult>)", text).groups()
    audio = re.search("<Audio>.*?</Audio>", info)[0]
    info = info.replace("<Audio>…same shape for the background file…</Audio>", audio)
    example = re.search("<Response><EventName>.*?</Response>", text)[0]
    example = example.replace("<MediaInfo>…8.3…</MediaInfo>", info)
    assert XML.decode() == example.replace("<MediaResult>…8.3…</MediaResult>", result)


def test_a_failed_job_says_why_and_carries_no_media():
    """A Failed job's body has State, Code and Message, and neither MediaInfo nor MediaResult."""
    job = dataclasses.replace(
        finished_job(),
        state=State.FAILED,
        code="ResourceNotFound",
        message="The input object does not exist.",
        result=None,
    )
    detail = json.loads(json_body(job))["JobsDetail"][0]
    assert ("Failed", "ResourceNotFound", "The input object does not exist.") == (
        detail["State"],
        detail["Code"],
        detail["Message"],
    )
    assert ["Output", "TemplateId", "TemplateName", "UserData", "JobLevel"] == list(detail["Operation"])
    assert b"MediaInfo" not in xml_body(job)
    assert b"<Code>ResourceNotFound</Code>" in xml_body(job)


def test_a_job_that_never_started_shows_a_dash():
    """A time that never came is the single character of the wire."""
    job = dataclasses.replace(finished_job(), state=State.FAILED, started=None, result=None)
    assert b"<StartTime>-</StartTime>" in xml_body(job)
    assert "-" == json.loads(json_body(job))["JobsDetail"][0]["StartTime"]


def test_names_are_expanded_and_ordered_for_four_tracks():
    """All four names are expanded with codec and job id, whatever the mode uses, and stand in order."""
    job = finished_job()
    names = {
        "object": "o/${jobid}/rest.${ext}",
        "au_object": "vox.${ext}",
        "bass_object": "bass.${other}",
        "drum_object": "drum",
    }
    spec = dataclasses.replace(job.spec, output=Output("r", "b-1", **names))
    output = json.loads(json_body(dataclasses.replace(job, spec=spec)))["JobsDetail"][0]["Operation"][
        "Output"
    ]
    expected = {
        "AuObject": "vox.mp3",
        "BassObject": "bass.${other}",
        "Bucket": "b-1",
        "DrumObject": "drum",
        "Object": f"o/{job.id}/rest.mp3",
        "Region": "r",
    }
    assert list(expected.items()) == list(output.items())


def test_explicit_parameters_are_echoed_as_given():
    """Without a template the given parameters are shown, and no user data is invented."""
    job = finished_job()
    separate = VoiceSeparate(AudioMode.MUSIC_MODE, AudioConfig(codec="wav", channels=2))
    spec = dataclasses.replace(
        job.spec, template_id=None, template_name=None, separate=separate, user_data=None
    )
    xml = xml_body(dataclasses.replace(job, spec=spec))
    echoed = (
        b"<VoiceSeparate><AudioConfig><Codec>wav</Codec><Channels>2</Channels></AudioConfig>"
        b"<AudioMode>MusicMode</AudioMode></VoiceSeparate><JobLevel>1</JobLevel>"
    )
    assert echoed in xml
    assert b"UserData" not in xml


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a<b>&c", "a&lt;b&gt;&amp;c"),
        ("歌/声.mp4", "歌/声.mp4"),
        ("beep\x07", "beep\ufffd"),
        ("]]>", "]]&gt;"),
    ],
)
def test_any_object_key_makes_a_readable_body(given: str, written: str):
    """Markup, other scripts and characters XML has no place for all end in a well-formed body."""
    job = finished_job()
    job = dataclasses.replace(job, spec=dataclasses.replace(job.spec, input_object=given))
    assert f"<Object>{written}</Object></Input>".encode() in xml_body(job)
    assert given == json.loads(json_body(job))["JobsDetail"][0]["Input"]["Object"]
