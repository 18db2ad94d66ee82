"""Error kinds: the drawn tree, the default messages, the codes and statuses of the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from stemline.jobs import errors
from stemline.jobs.errors import JobFailed, StemlineError
from stemline.wire.errors import ANSWERS, FAILURES, code_of, status_of


def drawn() -> Iterator[tuple[str, str]]:
    """Name and parent of each kind in the drawing of the module's docstring."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)", line)
        if match and (match[2] == "StemlineError" or "── " in line):
            depth = 0 if "── " not in line else len(match[1]) // 4 + 1
            path[depth:] = [match[2]]
            yield match[2], path[depth - 1] if depth else ""


def kinds(base: type[StemlineError] = StemlineError) -> Iterator[type[StemlineError]]:
    """The kinds of the module; other packages may have some of their own."""
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from kinds(child)


def test_the_drawn_tree_is_the_tree() -> None:
    """The docstring of jobs/errors.py draws every class under its base class."""
    actual = {
        (kind.__name__, kind.__base__.__name__ if kind is not StemlineError else "") for kind in kinds()
    }
    assert sorted(actual) == sorted(drawn())


def test_the_docstring_is_the_message() -> None:
    """Every kind explains itself: its docstring is its message where none is given."""
    for kind in kinds():
        assert kind.__doc__, kind
        assert " ".join(kind.__doc__.split()) == kind().message
    assert "x" == StemlineError("x").message


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_kind_has_a_code_and_a_status(kind: type[StemlineError]) -> None:
    """A kind has the code and status of its own row, or of the nearest base class that has one."""
    error = kind()
    if issubclass(kind, JobFailed):
        assert code_of(error) in {*FAILURES.values(), "InternalError"}
    else:
        nearest = next(base for base in kind.__mro__ if base in ANSWERS)
        assert ANSWERS[nearest] == (code_of(error), status_of(error))


def test_other_exceptions_are_internal_errors() -> None:
    """An exception that is no kind of ours has the code InternalError, whatever attributes it has."""

    class OtherError(Exception):
        code = "Other"

    assert "InternalError" == code_of(OtherError())


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_whatever_passes_says_when(kind: type[StemlineError]) -> None:
    """Every kind that is answered with 503 has a time for Retry-After, and no other kind has one."""
    if issubclass(kind, JobFailed):
        assert kind().retry_after_s is None
    else:
        assert (status_of(kind()) == 503) == (kind().retry_after_s is not None)
    assert kind(retry_after_s=7).retry_after_s == 7
