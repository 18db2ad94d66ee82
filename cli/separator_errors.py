"""How errors of the separator and of the disk end a command: in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stemline.cli.exits import CommandFailed
from stemline.cli.output import printable
from stemline.cli.statuses import FAILED, NOT_FOUND


@contextmanager
def separator_errors() -> Iterator[None]:
    """Turn errors of the separator and of the disk into one line.

    A model that does not exist, or is not here, ends the command as everything else that was not found.
    """
    from stemline.separation.errors import ModelUnknown, SeparationError, WeightsMissing

    try:
        yield
    except SeparationError as error:
        status = NOT_FOUND if isinstance(error, ModelUnknown | WeightsMissing) else FAILED
        raise CommandFailed(printable(error.message), status=status) from error
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        reason = ": ".join(str(each) for each in (error.filename, error.strerror) if each)
        raise CommandFailed(printable(reason or "the disk or the network failed")) from error
