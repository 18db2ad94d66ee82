"""Options that the service refuses: said before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stemline.cli.exits import CommandFailed, failure
from stemline.cli.request_advice import OPTIONS, REQUEST_ADVICE

if TYPE_CHECKING:
    from stemline.client import Client

_OTHERS: Final[dict[str, str]] = {"model": "--model", "queue": "--queue", "template": "--template"}
"""Options by words of the service's messages that no field has as its name."""
_WORD: Final = re.compile(r"\w+")


def check_options(client: Client, parameters: Mapping[str, Any]) -> None:
    """Have the service check what all jobs of the command ask for.

    Args:
        client: Client of the bucket.
        parameters: Parameters of :class:`stemline.client.Submission`.

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
    options = OPTIONS | _OTHERS
    option = next((options[word] for word in _WORD.findall(error.message) if word in options), "the option")
    what = REQUEST_ADVICE.get(error.code) or f"correct {option} and run the command again"
    return failure(error, hint=f"nothing more was submitted; {what}")
