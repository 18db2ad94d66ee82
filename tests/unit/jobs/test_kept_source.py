"""Outputs that would replace the source."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.kept_source import check_source_is_kept
from stemline.jobs.separation import AudioMode
from stemline.testing.samples import job_spec


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
        check_source_is_kept(dataclasses.replace(spec, separate=separate), folds_names=False)


def test_names_that_a_store_folds_are_the_same() -> None:
    """A store that ignores empty segments would replace the source under another spelling."""
    spec = _spec("/a//song.wav", au_object="a/song.wav")
    check_source_is_kept(spec, folds_names=False)
    with pytest.raises(RequestRefused, match="is the source itself"):
        check_source_is_kept(spec, folds_names=True)


def test_other_objects_may_be_written() -> None:
    """The same name in another bucket, the name of an unused track, or one with the job's id is no source."""
    check_source_is_kept(_spec("song.wav", bucket="other-1250000000", au_object="song.wav"), folds_names=True)
    check_source_is_kept(_spec("song.wav", au_object="voice.wav", drum_object="song.wav"), folds_names=True)
    check_source_is_kept(_spec("song.wav", au_object="${jobid}/song.wav"), folds_names=True)
