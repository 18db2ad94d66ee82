"""Elements that the vendor does not have: levels of the stems, bit depth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stemline.jobs.audio import check_audio
from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import StemLevels
from stemline.jobs.separation import AudioConfig, AudioMode
from stemline.jobs.store import records
from stemline.testing.client import submission
from stemline.testing.samples import measured_job
from stemline.wire import views
from stemline.wire.codec import parse, to_xml
from stemline.wire.elements import Document
from stemline.wire.job import CALLBACK_BODY, JOB_REQUEST
from stemline.wire.template_request import changed_template, new_template

_SOUND = {
    "Stem": [
        {
            "ObjectName": "out/voice.mp3",
            "PeakDb": "-0.10",
            "ClippedSamples": "0",
            "LoudnessLufs": "-14.26",
        },
        {"ObjectName": "out/bg.mp3", "PeakDb": "1.25", "ClippedSamples": "17"},
    ],
    "NullTestDb": "-138.50",
}


def _operation(document: Document) -> dict[str, Any]:
    tree: Any = views.JOBS.write({"items": [measured_job()], "missing": []}, document)
    operation: dict[str, Any] = tree["JobsDetail"][0]["Operation"]
    return operation


@pytest.mark.shows("SoundInfo, Stem, PeakDb, ClippedSamples, LoudnessLufs, NullTestDb")
@pytest.mark.parametrize("document", [Document.JSON_ANSWER, Document.EXTENDED_XML_ANSWER])
def test_levels_are_answered(document: Document) -> None:
    """JSON, and XML that was asked for additions, hold levels, null test and bit depth."""
    operation = _operation(document)
    assert operation["SoundInfo"] == _SOUND
    assert operation["VoiceSeparate"]["AudioConfig"]["BitDepth"] == "24"


@pytest.mark.shows("ShareDb, Doubt, ResidualDb")
@pytest.mark.parametrize("document", [Document.JSON_ANSWER, Document.EXTENDED_XML_ANSWER])
def test_shares_of_the_mix_are_answered(document: Document) -> None:
    """Of each stem the share and any doubt, and what the stems leave of the mix, where they are known."""
    job = measured_job()
    assert job.result
    levels = [StemLevels(share_db=-3.456), StemLevels(share_db=0.0, doubt="mix")]
    files = [replace(file, levels=one) for file, one in zip(job.result.files, levels, strict=True)]
    result = replace(job.result, files=tuple(files), null_test_db=None, residual_db=-23.0)
    tree: Any = views.JOBS.write({"items": [replace(job, result=result)], "missing": []}, document)
    sound = tree["JobsDetail"][0]["Operation"]["SoundInfo"]
    assert [("-3.46", None), ("0.00", "mix")] == [(s["ShareDb"], s.get("Doubt")) for s in sound["Stem"]]
    assert ("-23.00", None) == (sound["ResidualDb"], sound.get("NullTestDb"))
    assert result == records.RESULT.validate_json(records.text(records.RESULT, result))


@pytest.mark.shows("SoundInfo, Stem, PeakDb, ClippedSamples, LoudnessLufs, NullTestDb")
def test_plain_xml_and_callbacks_hold_no_additions() -> None:
    """XML answers and both forms of callback stay as the vendor's parsers know them."""
    plain = to_xml("Response", {"Operation": _operation(Document.XML_ANSWER)}).decode()
    callbacks = [
        str(CALLBACK_BODY.write(measured_job(), form))
        for form in (Document.XML_CALLBACK, Document.JSON_CALLBACK)
    ]
    for text in (plain, *callbacks):
        assert "SoundInfo" not in text
        assert "BitDepth" not in text


@pytest.mark.shows("Model")
def test_a_model_is_read_and_answered() -> None:
    """A submission's Model becomes part of the job; answers hold it and the one that separated."""
    xml = submission(config="<AudioConfig><Codec>wav</Codec></AudioConfig><Model>htdemucs</Model>")
    read = JOB_REQUEST.read(parse(xml.encode(), ""))
    separate = read["operation"]["spec"]["separate"]
    assert separate.model == "htdemucs"
    job = measured_job()
    assert job.result
    job = replace(
        job, spec=replace(job.spec, separate=separate), result=replace(job.result, model="htdemucs")
    )
    shown: Any = views.JOBS.write({"items": [job], "missing": []}, Document.JSON_ANSWER)
    detail = shown["JobsDetail"][0]
    assert ("htdemucs", "htdemucs") == (detail["Model"], detail["Operation"]["VoiceSeparate"]["Model"])
    plain: Any = views.JOBS.write({"items": [job], "missing": []}, Document.XML_ANSWER)
    assert "htdemucs" not in str(plain)


@pytest.mark.shows("Model")
@pytest.mark.parametrize("name", ["../4stems", "A", "a b", "x" * 64])
def test_what_is_no_name_of_a_model_is_refused(name: str) -> None:
    """A path, capitals, spaces and long names are refused by the field."""
    xml = submission(config=f"<Model>{name}</Model>")
    with pytest.raises(RequestRefused, match="Model"):
        JOB_REQUEST.read(parse(xml.encode(), ""))


@pytest.mark.shows("Model")
def test_a_template_keeps_its_model() -> None:
    """A template has a model too, which stays where a change does not name another."""
    given: dict[str, Any] = {
        "Tag": "VoiceSeparate",
        "Name": "best",
        "AudioMode": "IsAudio",
        "Model": "htdemucs",
    }
    _, stored = new_template(given)
    assert stored.model == "htdemucs"
    assert changed_template({"AudioMode": "MusicMode"}, stored)[1].model == "htdemucs"
    assert changed_template({"Model": "other"}, stored)[1].model == "other"


@pytest.mark.shows("BitDepth")
def test_bit_depth_is_read() -> None:
    """A submission's BitDepth becomes part of the job."""
    config = "<AudioConfig><Codec>flac</Codec><BitDepth>24</BitDepth></AudioConfig>"
    read = JOB_REQUEST.read(parse(submission(config=config).encode(), ""))
    assert read["operation"]["spec"]["separate"].audio_config.bit_depth == 24


@pytest.mark.shows("BitDepth")
@pytest.mark.parametrize("mode", AudioMode)
@pytest.mark.parametrize(
    ("codec", "depth", "is_allowed"),
    [
        *[("wav", 16, True), ("wav", 24, True), ("wav", 32, True), ("wav", 20, False), ("wav", 0, False)],
        *[("flac", 24, True), ("flac", 32, False), ("mp3", 16, False), (None, 24, False), ("amr", 24, False)],
    ],
)
def test_depths_of_each_codec(mode: AudioMode, codec: str | None, depth: int, *, is_allowed: bool) -> None:
    """A depth that the codec cannot hold is refused at the submission, in every mode."""
    config = AudioConfig(codec=codec, bit_depth=depth)
    if mode is AudioMode.MUSIC_MODE and codec in {"flac", "amr"}:
        is_allowed = False
    if is_allowed:
        check_audio(mode, config)
    else:
        with pytest.raises(RequestRefused, match=r"BitDepth|Codec"):
            check_audio(mode, config)


def test_records_keep_levels() -> None:
    """What the worker measured survives the job's record; a record without levels is read too."""
    result = measured_job().result
    assert records.RESULT.validate_json(records.text(records.RESULT, result)) == result
    old = '{"files": [{"track": "AuObject", "key": "a", "md5": "0", "size": 1}], "media_info": {}}'
    assert records.RESULT.validate_json(old).files[0].levels is None
