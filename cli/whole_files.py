"""Files that appear when they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that gets its name at the end; a pipe or a device is written to as it is.

    Args:
        path: Path of the file, of which an earlier one stays if the body fails.
        mode: Mode of :meth:`pathlib.Path.open`.
        options: Options of that method.

    Raises:
        OSError: It cannot be written.
    """
    is_special = path.exists() and not path.is_file()
    written = path if is_special else path.with_name(f".{path.name}.partial")
    try:
        with written.open(mode, **options) as file:
            yield file
        if not is_special:
            written.replace(path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if not is_special:
            written.unlink(missing_ok=True)
