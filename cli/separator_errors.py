"""How errors of the separator and of the disk end a command: in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from stemline.cli.output import printable


@contextmanager
def separator_errors() -> Iterator[None]:
    """Turn errors of the separator, with their kind, and of the disk into one line."""
    from stemline.separation.errors import SeparationError

    try:
        yield
    except SeparationError as error:
        raise click.ClickException(f"{printable(error.message)} ({type(error).__name__})") from error
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        reason = ": ".join(str(each) for each in (error.filename, error.strerror) if each)
        raise click.ClickException(printable(reason or type(error).__name__)) from error
