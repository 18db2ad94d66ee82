"""What to do about a job that failed, by its code (docs/errors.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ADVICE: Final[Mapping[str, str]] = {
    "ResourceNotFound": "check the key: `submit` takes a file of this machine, or a key of the bucket",
    "ResourceAccessDenied": "the worker's keys may not read the object; see `stemline doctor buckets`",
    "ResourceDownloadFailed": "check that the bucket's store answers (`stemline doctor buckets`), then retry",
    "InvalidContent": "play the file; if it plays, convert it to wav or flac and submit that",
    "InvalidArgument": "the message names what is not allowed; correct it and submit again",
    "DecodingTooExpensive": "convert the file to wav or flac and submit that, or raise STEMLINE_DECODE_…",
    "DecoderCrashed": "convert the file to wav or flac and submit that; the file is worth a bug report",
    "WriteTargetObjectFailed": "the bucket's store did not keep a stem: check its disk and log, then retry",
    "WriteTargetBucketDenied": "the worker's keys may not write to the bucket; see `stemline doctor buckets`",
    "WeightsUnavailable": "run `stemline models pull` on the workers, then retry",
    "DeviceUnavailable": "see `stemline doctor device` on the workers, then retry",
    "ModelFailed": "the model is broken: name another one, or correct it (docs/models.md)",
    "JobTimeout": "submit it with a longer --timeout, or without one",
    "InternalError": "retry it; if it fails again, the worker's log has the reason",
}
_BY_WORDS: Final[Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]] = {
    "InvalidContent": (
        (("ends before", "damaged"), "get the file again: a part of it is missing or damaged"),
        (("no audio stream", "empty file", "no samples"), "give a file that has sound in it"),
    ),
    "InvalidArgument": (
        (
            ("audio track", "AudioTrack"),
            "name an audio track of the file with --audio-track, or leave it out",
        ),
        (
            ("metadata",),
            "remove pictures and attachments from the file, or raise the limit that the message names",
        ),
        (
            ("larger", "longer", "lasts", "limit"),
            "split the file, or raise STEMLINE_SOURCE_MAX_… on the workers",
        ),
        (("combination", "codec", "Codec"), "choose another codec or other options"),
    ),
}
"""What to do about codes of several causes, by words of the message."""
OF_TRACKS: Final[Mapping[str, str]] = {
    "NotUploaded": "check that the file can be read and that the bucket's store answers",
    "NotFetched": "the stems are in the bucket: --retry-failed fetches them without another job; files that"
    " are there already are replaced with --overwrite",
    "NotThere": "the stems are in the bucket no more: --retry-failed separates the track again",
    "NoSuchJob": "the service lost the job, or kept it for no longer than its retention:"
    " --retry-failed separates the track again",
    "Cancel": "somebody cancelled it",
}
"""Codes that `submit` itself gives to tracks."""
NO_WORKER: Final = (
    "start a worker that takes it (`stemline worker separate`); `stemline doctor` says what runs"
)
"""What to do about a job that no worker takes."""
_OTHERS: Final = "see docs/errors.md for this code"


def advice(code: str, message: str = "") -> str:
    """Return what to do about a job that failed with a code and a message."""
    for words, text in _BY_WORDS.get(code, ()):
        if any(word in message for word in words):
            return text
    return ADVICE.get(code) or OF_TRACKS.get(code, _OTHERS)
