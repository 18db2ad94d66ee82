"""How errors of the separator and of the disk end a command: in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stemline.cli.exits import CommandFailed, check_output, failure
from stemline.cli.output import printable
from stemline.cli.statuses import FAILED, NOT_FOUND

if TYPE_CHECKING:
    from stemline.separation.errors import SeparationError


@contextmanager
def separator_errors() -> Iterator[None]:
    """Turn errors of the separator and of the disk into one line.

    A model that does not exist, or is not here, ends the command as everything else that was not found.
    """
    from stemline.separation.errors import SeparationError

    try:
        yield
    except SeparationError as error:
        status, hint = _end(error)
        raise CommandFailed(printable(error.message), hint=hint, status=status) from error
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        check_output(error)
        raise failure(error) from error


def _end(error: SeparationError) -> tuple[int, str]:
    """Return the status of an error, and what to do about it unless its message says that."""
    from stemline.separation import errors

    kinds: dict[type[SeparationError], tuple[int, str]] = {
        errors.ModelUnknown: (NOT_FOUND, "`stemline models list` shows what there is"),
        errors.WeightsMissing: (NOT_FOUND, ""),
        errors.MediaError: (FAILED, "play the file; if it plays, convert it to wav or flac and take that"),
        errors.DecodingTooExpensive: (FAILED, "convert the file to wav or flac and take that"),
        errors.DecoderCrashed: (FAILED, "convert the file to wav or flac and take that"),
        errors.DeviceError: (
            FAILED,
            "`stemline doctor device` says more; --device cpu works everywhere",
        ),
        errors.DiskFull: (FAILED, "make room there, or use another folder"),
    }
    return next((end for kind, end in kinds.items() if isinstance(error, kind)), (FAILED, ""))
