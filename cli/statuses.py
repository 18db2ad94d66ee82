"""The exit statuses of all commands; `make docs` writes their tables into the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
DENIED: Final = 4
NOT_FOUND: Final = 5
BUSY: Final = 6
INTERRUPTED: Final = 130
STATUSES: Final[Mapping[int, tuple[str, str]]] = {
    DONE: ("done", "nothing"),
    FAILED: (
        "a job failed or was cancelled, something could not be done, or ids failed for several reasons",
        "the line names what failed, and the hint what to do; `doctor` prints a line for each error",
    ),
    USAGE: (
        "the command line, or a value of the profile or the variables, is wrong",
        "see the help of the command, which the hint names",
    ),
    UNREACHABLE: (
        "no service is known, or the API, the store of its bucket or the job store does not answer",
        "start it, or name another one with `--profile`, `--api` or `stemline login`",
    ),
    DENIED: (
        "the key pair is refused or does not allow this (read-only, `--model`), or its budget is spent",
        "the hint says which: correct the key pair or the clock, or have the credential allow it",
    ),
    NOT_FOUND: (
        "there is no such job, queue, template, callback, bucket, model or file; no weights are here",
        "compare the name; `stemline models pull` fetches weights",
    ),
    BUSY: (
        "the service asks to come back later",
        "wait, and run it again; `stemline queues` and `stemline doctor` say what holds work back",
    ),
    INTERRUPTED: ("Ctrl-C", "run it again; jobs that were submitted go on, unless it cancels them"),
}
"""What each status means, and what to do about it."""
