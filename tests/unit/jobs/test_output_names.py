"""Output names that a store of files cannot keep, and outputs that would replace the source."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.output_names import check_output_names
from stemline.jobs.separation import AudioMode
from stemline.testing.client import submission
from stemline.testing.samples import job_spec
from stemline.wire.codec import parse
from stemline.wire.job_request import job_specs


@pytest.mark.parametrize("name", ["/a", "a//b", "//a", "a/" + "b" * 256, "é" * 128, "b" * 224 + "${jobid}"])
@pytest.mark.parametrize("field", ["object", "au_object"])
def test_refused(field: str, name: str) -> None:
    """An empty segment, or one of more than 255 bytes once variables are replaced, is refused."""
    spec = job_spec()
    bad = dataclasses.replace(spec, output=dataclasses.replace(spec.output, **{field: name}))
    with pytest.raises(RequestRefused, match="segment"):
        check_output_names(bad, keeps_files=True)


@pytest.mark.parametrize("name", ["a", "a/b", "b" * 255, "é" * 127, "a/" + "c" * 255 + "/d"])
def test_accepted(name: str) -> None:
    """Names whose segments are files on every file system are accepted; unused names are not checked."""
    spec = job_spec()
    output = dataclasses.replace(spec.output, au_object=name, bass_object="//")
    check_output_names(dataclasses.replace(spec, output=output), keeps_files=True)


@pytest.mark.parametrize("name", ["o/dir/", "a/", "o/${jobid}/"])
def test_folders_are_refused_for_every_store(name: str) -> None:
    """A name that ends with / names a folder; it is refused at the submission."""
    body = submission().replace("out/voice.${ext}", name)
    assert name in body
    with pytest.raises(RequestRefused, match="ends with /"):
        job_specs(parse(body.encode(), ""), job_spec().tenant, lambda _: None)


def _spec(source: str, *, mode: AudioMode = AudioMode.IS_AUDIO, bucket: str = "", **names: str) -> JobSpec:
    spec = job_spec()
    output = dataclasses.replace(
        spec.output, bucket=bucket or spec.tenant.bucket, region=spec.tenant.region, **names
    )
    separate = dataclasses.replace(spec.separate, audio_mode=mode)
    return dataclasses.replace(spec, input_object=source, output=output, separate=separate)


@pytest.mark.parametrize("name", ["song.mp3", "song.${ext}"])
@pytest.mark.parametrize(
    ("mode", "field"),
    [
        (AudioMode.IS_AUDIO, "au_object"),
        (AudioMode.IS_BACKGROUND, "object"),
        (AudioMode.AUDIO_AND_BACKGROUND, "object"),
        (AudioMode.MUSIC_MODE, "drum_object"),
    ],
)
def test_an_output_that_is_the_source_is_refused(mode: AudioMode, field: str, name: str) -> None:
    """No track of any mode may replace the source, also where the name has a variable."""
    spec = _spec("song.mp3", mode=mode, **{field: name})
    separate = dataclasses.replace(
        spec.separate, audio_config=dataclasses.replace(spec.separate.audio_config, codec="mp3")
    )
    with pytest.raises(RequestRefused, match="is the source itself"):
        check_output_names(dataclasses.replace(spec, separate=separate), keeps_files=False)


def test_names_that_a_store_folds_are_the_same() -> None:
    """A store that ignores empty segments would replace the source under another spelling."""
    spec = _spec("/a//song.wav", au_object="a/song.wav")
    check_output_names(spec, keeps_files=False)
    with pytest.raises(RequestRefused, match="is the source itself"):
        check_output_names(spec, keeps_files=True)


def test_other_objects_may_be_written() -> None:
    """The same name in another bucket, the name of an unused track, or one with the job's id is no source."""
    check_output_names(_spec("song.wav", bucket="other-1250000000", au_object="song.wav"), keeps_files=True)
    check_output_names(_spec("song.wav", au_object="voice.wav", drum_object="song.wav"), keeps_files=True)
    check_output_names(_spec("song.wav", au_object="${jobid}/song.wav"), keeps_files=True)
