"""What to do about a request that the service refused, by its code (docs/errors.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from stemline.cli.output import span

if TYPE_CHECKING:
    from stemline.client import AccessDenied, ApiError

_CLOCK_S: Final = 30
"""A clock that differs less is not said to be wrong: no signature ends as a result."""
_KEYS: Final = "check the key pair and the clock, or use another profile; `stemline login` stores one"
_BUSY: Final = "try again later; `stemline queues` and `stemline doctor` say what holds work back"
_NOT_ALLOWED: Final[Mapping[str, str]] = {
    "choose the model": "leave --model out, or have STEMLINE_REQUEST_MODELS, or `models` of the credential,"
    " allow it",
    "only read": "the key pair is valid, and may only read: use a profile that may change things, or have"
    " `read_only` and `operations` of the credential allow it",
    "does not allow": "the key pair is valid; have `operations` of the credential allow it",
    "may not": "the key pair is valid; have its entry among the credentials allow it, or use another profile",
}
"""What to do about ``AccessDenied``, by words of its message: a valid key pair, which may not do this."""
_UNKNOWN: Final[Mapping[str, str]] = {
    "path": "check --api: it is the URL of the API itself, without the path of a page",
    "queue": "`stemline queues` lists the queues of the bucket",
    "template": "`stemline templates list` lists the templates of the bucket",
    "batch": "`stemline batches list` lists the batches of the bucket",
    "job": "`stemline jobs` lists the jobs of the bucket",
}
"""What to do about ``NoSuchResource``, by what its message says there is not."""
OPTIONS: Final[dict[str, str]] = {
    "CallBack": "--callback",
    "UserData": "--user-data",
    "AudioTrack": "--audio-track",
    "Samplerate": "--samplerate",
    "Bitrate": "--bitrate",
    "BitDepth": "--bit-depth",
    "Channels": "--channels",
    "Codec": "--codec",
    "AudioMode": "--stems or --only",
    "JobLevel": "--level",
    "NotBefore": "--not-before",
    "Deadline": "--deadline",
    "Timeout": "--timeout",
    "Model": "--model",
    "MaxSize": "--size",
    "MaxConcurrent": "--concurrent",
    "Name": "--name",
}
"""Options by the fields of requests that have their values, as messages of the service name them."""
_INNER: Final = re.compile(r"\w+\.(\w+)")
_FIELD: Final = re.compile(r"(?:\w+\.)*(\w+)")
REQUEST_ADVICE: Final[Mapping[str, str]] = {
    "AccessDenied": _KEYS,
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "RequestTimeTooSkewed": _KEYS,
    "ExpiredToken": "get a new temporary credential",
    "BudgetExceeded": "it begins anew at 0:00 UTC; `stemline usage` shows what took it",
    "AsrBucketUnBinded": "open the bucket with POST /asrbucket, or in the console",
    "BindedBucketNumLimit": "close a bucket with DELETE /asrbucket, or raise STEMLINE_BUCKETS_PER_REGION",
    "CreatedTemplateNumLimit": "delete one with `stemline templates delete`, or raise"
    " STEMLINE_TEMPLATES_PER_BUCKET",
    "TemplateNameDuplicate": "choose another name, or delete the template of this name first with"
    " `stemline templates delete`",
    "TemplateNotFound": _UNKNOWN["template"],
    "QueueNotFound": _UNKNOWN["queue"],
    "NoSuchBucket": "check --bucket and STEMLINE_BUCKET, or the bucket of the profile",
    "SlowDown": _BUSY,
    "InternalError": "run it again; the log of the API has the request by its id",
    "InvalidHost": "check --bucket, --region and --api: the service knows no such bucket and region",
    "InvalidContent": "",  # the message says it
    "InvalidArgument": "",
    "MissingContent": "check --api: a proxy on the way may have dropped the body of the request",
    "MethodNotAllowed": "check --api, and that client and service are of the same release",
    "NoSuchResource": "",
}
"""What to do, by the code of the answer, for people at a shell."""


def request_advice(error: ApiError) -> str:
    """Return what to do about a refused request."""
    from stemline.client import AccessDenied

    if isinstance(error, AccessDenied) and (clock := _wrong_clock(error)):
        return clock
    if error.code == "AccessDenied":
        for words, found in _NOT_ALLOWED.items():
            if words in error.message:
                return found
    if error.code == "NoSuchResource":
        for what, found in _UNKNOWN.items():
            if error.message.startswith((f"there is no {what} ", f"The {what} does not exist")):
                return found
    if error.code == "InvalidArgument":
        return _option(error.message)
    return REQUEST_ADVICE.get(error.code, "")


def _option(message: str) -> str:
    """Return what to do about a message that begins with a field, or has one after the name of its container.

    There is something to do if the command has an option for it.
    """
    running = click.get_current_context(silent=True)
    fields = [found[1] for found in (_FIELD.match(message), _INNER.search(message)) if found]
    option = next((OPTIONS[field] for field in fields if field in OPTIONS), "")
    known = {each for option in running.command.params for each in option.opts} if running else set()
    return f"correct {option}" if known & set(option.split()) else ""


def _wrong_clock(error: AccessDenied) -> str:
    """Return what to do if the request was refused because of this machine's clock."""
    ahead_s = error.clock_ahead_s
    if ahead_s is None or abs(ahead_s) < _CLOCK_S or not _is_about_time(error):
        return ""
    where = "ahead of" if ahead_s > 0 else "behind"
    return f"the clock of this machine is {span(abs(ahead_s), whole=True)} {where} the service's: correct it"


def _is_about_time(error: AccessDenied) -> bool:
    return error.code == "RequestTimeTooSkewed" or "expired" in error.message
