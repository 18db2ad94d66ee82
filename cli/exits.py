"""How a command ends: its exit status, and the line that says why (docs/cli.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final

import click

from stemline.cli.output import printable
from stemline.cli.program import spelled

FAILED: Final = 1
"""A job failed, or was cancelled; or anything that has no status of its own."""
USAGE: Final = 2
"""The command line is wrong; click's own."""
UNREACHABLE: Final = 3
"""No service is known, or it does not answer."""
DENIED: Final = 4
NOT_FOUND: Final = 5
BUSY: Final = 6
"""The service asks to come back later."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
_NO_ANSWER: Final = "is it running? `stemline up` starts one here, --profile or --api name another"
_SLOW: Final = "try again later; `stemline queues` and `stemline doctor` say what holds work back"
_DENIED: Final = "check the key pair and the clock, or use another profile; `stemline login` stores one"


class CommandFailed(click.ClickException):
    """Ends the command with one line, a hint and an exit status."""

    def __init__(self, message: str, *, hint: str = "", status: int = FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = status  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line, and the hint below it."""
        click.echo(f"Error: {spelled(printable(' '.join(self.message.split())))}", err=True, file=file)
        if self.hint:
            click.echo(f"Hint: {spelled(self.hint)}", err=True, file=file)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """End the process as soon as an interrupted program has cleaned up.

    The interpreter would wait for threads that nobody needs any more, and abort where one of them is in the
    code of a library.
    """
    try:
        yield
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


@contextmanager
def client_errors() -> Iterator[None]:
    """Turn the errors of the client and of the disk into the end of the command."""
    from stemline.client import ClientError

    try:
        yield
    except BrokenPipeError:  # whoever reads the output has gone; click ends quietly
        raise
    except (ClientError, ValueError, OSError) as error:
        raise failure(error) from error


def failure(error: Exception, *, hint: str = "") -> CommandFailed:
    """Return how a command ends because of an error of the client or of the disk.

    Args:
        error: what happened.
        hint: what to do, instead of what the kind of the error suggests.
    """
    from stemline.client import errors

    message, status, usual = str(error), FAILED, ""
    match error:
        case errors.NotConfigured():
            status = UNREACHABLE
        case errors.ConnectionFailed():
            status, usual = UNREACHABLE, _NO_ANSWER
        case errors.SlowDown():
            status, usual = BUSY, _SLOW
        case errors.AccessDenied():
            status, usual = DENIED, _DENIED
        case errors.NotFound():
            status = NOT_FOUND
        case OSError():
            named = f"{printable(str(error.filename))}: " if error.filename else ""
            message = f"{named}{error.strerror or error}"
    return CommandFailed(message, hint=hint or usual, status=status)
