"""What makes two jobs equal, so that one gets copies of the other's stems."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.storage import ObjectHead
from stemline.testing.samples import job_spec
from stemline.workers.reuse import digest_of

HEAD = ObjectHead(5, '"e"', "audio/wav", job_id="", token=0)
SPEC = replace(job_spec(), reuse=True)
AUDIO = AudioConfig("mp3", samplerate=44_100, bitrate=128, channels=2)


def digest(
    *, head: ObjectHead | None = HEAD, model: tuple[str, str] = ("2stems", "1"), **changes: Any
) -> str:
    """The digest of a job; a change is one of the settings if they have it, else of what the job asks for."""
    spec = replace(SPEC, separate=VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AUDIO))
    ours = {name: value for name, value in changes.items() if not hasattr(spec, name)}
    spec = replace(spec, **{name: value for name, value in changes.items() if name not in ours})
    buckets = SimpleNamespace(head=lambda *_: head)
    context = SimpleNamespace(settings=Settings(**ours), buckets=buckets)
    name, version = model
    work: Any = SimpleNamespace(
        job=SimpleNamespace(spec=spec), context=context, model=SimpleNamespace(name=name, version=version)
    )
    return digest_of(work)


OTHERS: dict[str, dict[str, Any]] = {
    "ETag": {"head": replace(HEAD, etag='"f"')},
    "size": {"head": replace(HEAD, size=6)},
    "key": {"input_object": "other"},
    "tenant": {"tenant": Tenant("other-1250000000", "ap-chongqing")},
    "audio track": {"audio_track": "1"},
    "mode": {"separate": VoiceSeparate(AudioMode.IS_AUDIO, AUDIO)},
    "codec": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, replace(AUDIO, codec="aac"))},
    "bitrate": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, replace(AUDIO, bitrate=64))},
    "channels": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, replace(AUDIO, channels=1))},
    "rate": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, replace(AUDIO, samplerate=48_000))},
    "model": {"model": ("own", "1")},
    "version of the model": {"model": ("2stems", "2")},
    "engine": {"engine": "tensorflow"},
    "context": {"context_frames": 64},
    "filter": {"refine": True},
    "extension": {"mask_extension": "zeros"},
    "origin of video": {"keep_video_origin": True},
    "pauses": {"source_max_pause_s": 13},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_changes_the_stems_changes_the_digest(other: dict[str, Any]) -> None:
    """Jobs are equal only if source, request, model and the worker's way of separating are the same."""
    assert digest() == digest() != digest(**other) != ""


@pytest.mark.parametrize(
    "head",
    [None, replace(HEAD, etag=""), replace(HEAD, size=None), replace(HEAD, etag='W/"e"')],
    ids=["none", "no ETag", "no size", "weak ETag"],
)
def test_a_source_that_is_not_known_is_equal_to_none(head: ObjectHead | None) -> None:
    """Where the store does not say which bytes it holds, the job is separated."""
    assert digest(head=head) == ""


def test_nothing_is_asked_for_a_job_that_wants_no_copies() -> None:
    """A job whose credential does not reuse stems has no digest."""
    assert digest(reuse=False) == ""
