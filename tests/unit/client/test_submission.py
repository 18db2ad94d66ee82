"""What is asked for in a job, and what the service reads of it."""

from __future__ import annotations

import pytest

from stemline.client.submission import Submission
from stemline.jobs.tenant import Tenant
from stemline.wire.codec import parse, to_json
from stemline.wire.job_request import job_specs

TENANT = Tenant("media-1250000000", "ap-chongqing")


def specification(submission: Submission):
    """What the service makes of a submission."""
    body = to_json(submission.body(TENANT.bucket, TENANT.region))
    return job_specs(parse(body, "application/json"), TENANT, lambda _: None)[0]


@pytest.mark.parametrize(("stems", "bitrate", "count"), [(2, 192, 2), (4, None, 4)])
def test_a_submission_is_what_the_service_reads(stems, bitrate, count):
    """The service finds every parameter where the client puts it."""
    spec = specification(
        Submission(
            "a b.mp3", stems=stems, codec="mp3", bitrate=bitrate, level=2, user_data="u", callback="no"
        )
    )
    assert ("a b.mp3", "mp3", bitrate, 2, "u") == (
        spec.input_object,
        spec.codec,
        spec.separate.audio_config.bitrate,
        spec.level,
        spec.user_data,
    )
    assert count == len(spec.tracks())
    assert len({spec.key(track, "j1") for track in spec.tracks()}) == count


def test_the_same_submission_has_the_same_body():
    """Only then does a repeated Idempotency-Key give the same job."""
    first, second = (to_json(Submission("a", output={"voice": "v"}).body("b", "r")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("wrong", [{"stems": 3}, {"mode": "Everything"}, {"output": {"vocals": "x"}}])
def test_what_no_service_could_do_is_refused_at_once(wrong):
    """A number of stems, a mode or a stem that does not exist is an error before anything is sent."""
    with pytest.raises(ValueError, match=r"stems|stem is one of"):
        Submission("a", **wrong).body("b", "r")


@pytest.mark.parametrize("name", ["samplerate", "bitrate", "channels"])
@pytest.mark.parametrize("given", [{"stems": 4}, {"mode": "MusicMode"}, {"template": "t1"}])
def test_what_the_service_would_ignore_is_refused(given, name):
    """A number without effect beside the others is an error that names it, before anything is sent."""
    submission = Submission("a", **{"codec": "mp3", **given, name: 192})
    with pytest.raises(ValueError, match=f"{name} has no effect"):
        submission.body("b", "r")
    assert [name] == list(submission.without_effect())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"codec": "wav", "bitrate": 192}, "bitrate"),
        ({"codec": "flac", "bitrate": 192}, "bitrate"),
        ({"template": "t1", "model": "mine"}, "model"),
        ({"template": "t1", "mode": "IsAudio"}, "mode"),
        ({"template": "t1", "bit_depth": 24}, "bit_depth"),
        ({"stems": 4, "mode": "IsAudio"}, "stems"),
        ({"stems": 4, "bit_depth": 24}, ""),
        ({"stems": 4, "mode": "MusicMode"}, ""),
        ({"codec": "aac", "bitrate": 192, "samplerate": 48_000, "channels": 1}, ""),
    ],
)
def test_only_what_has_no_effect_is_named(given, name):
    """Lossless codecs have no bitrate, a template says all, a mode replaces stems; the rest has effect."""
    assert [name] * bool(name) == list(Submission("a", **given).without_effect())
