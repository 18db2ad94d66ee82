"""docs/errors.md names every code of requests and of jobs, with its cause and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stemline.cli.advice import OF_TRACKS
from stemline.jobs import errors as kinds
from stemline.jobs.errors import JobFailed
from stemline.separation import errors as separation
from stemline.separation.errors import Cancelled, SeparationError
from stemline.wire.errors import ANSWERS, FAILURES, INTERNAL
from stemline.workers.failures import SEPARATION_CODES, final_code
from tests.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "errors.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its two first rows."""
    section = PAGE.split(f"\n{heading}\n")[1]
    lines = section[section.index("|") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def below(kind: type[Exception]) -> Iterator[type[Exception]]:
    """The kinds that are derived from one, in the two modules of kinds."""
    for child in kind.__subclasses__():
        if child.__module__ in {kinds.__name__, separation.__name__}:
            yield child
            yield from below(child)


def test_every_code_of_a_request() -> None:
    """The first table has a row for each code and status of an error response, and no others."""
    rows = table("## Requests")
    listed = {(row[0].strip("`"), int(status)) for row in rows for status in row[1].split(",")}
    assert set(ANSWERS.values()) == listed


def test_every_code_of_a_job() -> None:
    """The second table has a row for each code that a job can end with, and no others."""
    codes = [row[0].strip("`") for row in table("## Jobs")]
    assert sorted({*FAILURES.values(), *SEPARATION_CODES.values(), INTERNAL}) == sorted(codes)


def test_every_code_of_a_track() -> None:
    """The last table has a row for each code that `stemline submit` itself gives to tracks, and no others."""
    assert sorted(OF_TRACKS) == sorted(row[0].strip("`") for row in table("## Tracks"))


def test_every_row_has_a_cause_and_a_cure() -> None:
    """No row leaves out when its code comes, or what to do."""
    rows = [*table("## Requests"), *table("## Jobs"), *table("## Tracks")]
    assert rows
    assert [] == [row for row in rows if not all(row)]


@pytest.mark.parametrize("kind", [*below(JobFailed), *below(SeparationError)], ids=lambda kind: kind.__name__)
def test_every_message_of_a_job(kind: type[JobFailed | SeparationError]) -> None:
    """The third table has the default message of each failure, with the code that the job then has."""
    error = kind()
    code = final_code(error)
    messages = dict(table("### What the message says"))
    if kind is not Cancelled:
        assert f"`{code}`" == messages[error.message]
    assert (kind is Cancelled) == (error.message not in messages)
