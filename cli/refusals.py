"""Options that the service refuses: said before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stemline.cli.exits import CommandFailed, failure

if TYPE_CHECKING:
    from stemline.client import Client

_OPTIONS: Final[Mapping[str, str]] = {
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
    "model": "--model",
    "queue": "--queue",
    "template": "--template",
}
"""Options by words of the service's messages."""


def check_options(client: Client, parameters: Mapping[str, Any]) -> None:
    """Have the service check what all jobs of the command ask for.

    Args:
        client: Of the bucket.
        parameters: Of :class:`stemline.client.Submission`.

    Raises:
        CommandFailed: It refuses them.
    """
    from stemline.client import ApiError, SlowDown

    try:
        client.dry_run("source", probe=False, **parameters)
    except SlowDown:  # a submission waits for that, or says it
        return
    except ApiError as error:
        raise refused(error) from error


def refused(error: Exception) -> CommandFailed:
    """Return how a command ends whose options the service refuses."""
    from stemline.client import AccessDenied, ApiError

    if not isinstance(error, ApiError) or isinstance(error, AccessDenied):
        return failure(error)  # says itself what is to be allowed
    option = next((option for word, option in _OPTIONS.items() if word in error.message), "the option")
    hint = f"nothing more was submitted; correct {option} and run the command again"
    return failure(error, hint=hint)
