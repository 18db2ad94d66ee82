"""How a command ends: its exit status, and the line that says why (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import click

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


class CommandFailed(click.ClickException):
    """Ends the command with one line, a hint and an exit status."""

    def __init__(self, message: str, *, hint: str = "", status: int = FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = status  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line, and the hint below it."""
        click.echo(f"Error: {' '.join(self.message.split())}", err=True, file=file)
        if self.hint:
            click.echo(f"Hint: {self.hint}", err=True, file=file)


@contextmanager
def client_errors() -> Iterator[None]:
    """Turn the errors of the client into the end of the command."""
    from stemline.client import errors

    try:
        yield
    except errors.NotConfigured as error:
        raise CommandFailed(str(error), status=UNREACHABLE) from error
    except errors.ConnectionFailed as error:
        hint = "is it running? `stemline up` starts one here, --profile or --api name another"
        raise CommandFailed(str(error), hint=hint, status=UNREACHABLE) from error
    except errors.SlowDown as error:
        hint = "try again later; `stemline queues` and `stemline doctor` say what holds work back"
        raise CommandFailed(str(error), hint=hint, status=BUSY) from error
    except errors.AccessDenied as error:
        hint = "check the key pair and the clock, or use another profile; `stemline login` stores one"
        raise CommandFailed(str(error), hint=hint, status=DENIED) from error
    except errors.NotFound as error:
        raise CommandFailed(str(error), status=NOT_FOUND) from error
    except (errors.ClientError, ValueError) as error:
        raise CommandFailed(str(error)) from error
    except BrokenPipeError:  # whoever reads the output has gone; click ends quietly
        raise
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise CommandFailed(f"{named}{error.strerror or error}") from error
