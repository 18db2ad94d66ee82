"""How a command ends: its exit status, and the line that says why (docs/cli.md)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

import click

from stemline.cli.output import printable
from stemline.cli.program import spelled
from stemline.cli.request_advice import request_advice
from stemline.cli.statuses import BUSY, DENIED, DONE, FAILED, INTERRUPTED, NOT_FOUND, UNREACHABLE, USAGE
from stemline.jobs.reasons import UNEXPECTED, reason_of

_WRITERS: Final = frozenset({"click.utils", "rich.console"})
"""Modules that write to the standard output."""
_NO_ANSWER: Final = "is it running? `stemline up` starts one here, --profile or --api name another"
_NO_ROOM: Final = "make room there, or use another folder"
_NO_STORE: Final = (
    "set STEMLINE_REDIS_URL, or run this beside `stemline up`; `stemline doctor store` checks it"
)
_NO_BUCKET: Final = "check that the store runs, and its endpoint in the profile (`stemline login`)"
_REFUSED: Final = "check the bucket and its keys in the profile; `stemline login` stores them"


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
            click.echo(f"Hint: {printable(spelled(self.hint))}", err=True, file=file)


class EndedAtOnce(SystemExit):
    """Ends the process with a status, whatever its threads still wait for."""


@contextmanager
def ended_at_once() -> Iterator[None]:
    """End the process as soon as a program that was interrupted, or leaves threads behind, has cleaned up.

    The interpreter would wait for threads that are not needed any more, and abort where one of them is in the
    code of a library.
    """
    try:
        yield
    except SystemExit as end:
        if end.code != INTERRUPTED and not isinstance(end, EndedAtOnce):
            raise
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(int(end.code or DONE))


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end what runs as Ctrl-C does."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def client_errors() -> Iterator[None]:
    """Turn the errors of the client and of the disk into the end of the command."""
    from stemline.client import ClientError

    try:
        yield
    except BrokenPipeError:  # the reader of the output has ended; click ends quietly
        raise
    except OSError as error:
        check_output(error)
        raise failure(error) from error
    except (ClientError, ValueError) as error:
        raise failure(error) from error


def check_output(error: OSError) -> None:
    """Raise how a command ends whose output cannot be written; do nothing if the error is another one.

    Raises:
        CommandFailed: The output cannot be written.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    writer = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    if writer in _WRITERS and not isinstance(error, BrokenPipeError):
        # Else the interpreter would try to write the rest once more, and report that too.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # the process ends
        raise CommandFailed(f"the output cannot be written: {reason_of(error)}") from error


def failure(error: Exception, *, hint: str = "", then: str = "") -> CommandFailed:
    """Return how a command ends because of an error, whatever raised it.

    Args:
        error: What happened.
        hint: What to do, instead of what the kind of the error suggests.
        then: What to do after it.
    """
    status, usual = _kind(error)
    message = reason_of(error)
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes | Path):
        message = f"{printable(str(error.filename))}: {message}"
    if message == UNEXPECTED:
        usual = _report(error)
    hints = filter(None, (hint or usual, then))
    return CommandFailed(message, hint="; then ".join(hints), status=status)


def _kind(error: Exception) -> tuple[int, str]:
    """Return the status of an error, and what helps against errors of its kind."""
    from stemline.client import errors
    from stemline.client.tracks.manifest import ManifestInUse
    from stemline.client.tracks.pace import NO_ROOM, has_no_room
    from stemline.jobs.errors import StoreUnavailable

    match error:
        case errors.ApiError():
            kinds: dict[type[Exception], int] = {
                errors.AccessDenied: DENIED,
                errors.NotFound: NOT_FOUND,
                errors.SlowDown: BUSY,
            }
            return kinds.get(type(error), FAILED), request_advice(error)
        case errors.StoreRefused():
            return (NOT_FOUND if "NoSuchBucket" in str(error) else DENIED), _REFUSED
        case errors.TransferFailed() if has_no_room(error):
            return FAILED, _NO_ROOM
        case OSError(errno=number) if number in NO_ROOM:
            return FAILED, _NO_ROOM
    others: dict[type[Exception], tuple[int, str]] = {
        errors.InvalidTarget: (USAGE, ""),
        errors.NotConfigured: (UNREACHABLE, ""),
        errors.ConnectionFailed: (UNREACHABLE, _NO_ANSWER),
        errors.StoreUnreachable: (UNREACHABLE, _NO_BUCKET),
        StoreUnavailable: (UNREACHABLE, _NO_STORE),
        ManifestInUse: (FAILED, "wait until that one has ended, or give another folder with -o"),
    }
    return next((end for kind, end in others.items() if isinstance(error, kind)), (FAILED, ""))


def _report(error: Exception) -> str:
    """Write where an unexpected error was raised into a file, and return the hint that names it."""
    import tempfile
    import traceback

    from stemline.runtime.redaction import Redaction

    try:
        number, name = tempfile.mkstemp(prefix="stemline-fault-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write(Redaction().traceback("".join(traceback.format_exception(error))))
    except OSError:  # no folder can be written to
        return "please report it, with the command"
    return f"please report it, with {name}, which says where it happened"
