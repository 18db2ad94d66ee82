"""docs/errors.md names every code of requests, jobs, tracks and commands, with its cause and what to do."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from stemline.cli.advice import OF_TRACKS
from stemline.cli.statuses import STATUSES
from stemline.jobs.errors import CancelAsked, EqualJobRuns, JobFailed, LeaseLost, StemlineError
from stemline.separation.errors import Cancelled, SeparationError
from stemline.wire.errors import ANSWERS, FAILURES, INTERNAL, code_of
from stemline.workers.failures import SEPARATION_CODES, final_code
from tests.paths import REPOSITORY
from tools.docs.statuses import page_of, pages

T = TypeVar("T", bound=Exception)
PAGE = (REPOSITORY / "docs" / "errors.md").read_text()
CALLBACKS = (REPOSITORY / "docs" / "callbacks.md").read_text()
PACKAGES = ("api", "callbacks", "cli", "client", "jobs", "runtime", "storage", "wire", "workers")
SOURCES = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
SCRIPTS = sorted((REPOSITORY / "jobs").rglob("*.lua"))
#: Errors that no client and no record sees.
WITHIN = (CancelAsked, Cancelled, EqualJobRuns, LeaseLost)


def table(heading: str, page: str = PAGE) -> list[list[str]]:
    """The cells of the table below a heading, without its two first rows."""
    section = page.split(f"\n{heading}\n")[1]
    lines = section[section.index("|") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def modules_of_kinds() -> Iterator[str]:
    """The modules of the product that define an error on another one."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and any("Error" in ast.unparse(each) for each in node.bases):
                yield ".".join(("stemline", *path.relative_to(REPOSITORY).with_suffix("").parts))


for module in set(modules_of_kinds()):
    importlib.import_module(module.removesuffix(".__init__"))


def below(kind: type[T]) -> Iterator[type[T]]:
    """The kinds of the product that are derived from one, wherever they are defined."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("stemline."):
            yield child
            yield from below(child)


def written(path: Path) -> Iterator[str]:
    """The codes that a source has as texts: values of what is called a code, and codes of failed tracks."""
    tree = ast.parse(path.read_text())
    constants = {
        ast.unparse(node.target): node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value is not None
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="failed"), args=[_, code, *_]):
                yield from texts(code, constants)
            case ast.keyword(arg="code" | "Code", value=value):
                yield from texts(value, constants)
            case ast.Assign(targets=[ast.Name(id="code")], value=value):
                yield from texts(value, constants)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "Code":
                        yield from texts(value, constants)


def texts(value: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """The texts that an expression may be, in a module with constants."""
    match value:
        case ast.Constant(value=str(text)) if re.fullmatch("[A-Z][A-Za-z]+", text):
            yield text
        case ast.Name(id=name) if name in constants:
            yield from texts(constants[name], {})
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one, constants)
            yield from texts(other, constants)


def ends_of_scripts() -> set[tuple[str, str]]:
    """Code and message with which scripts of the store end jobs."""
    found = [re.findall(r"finish\([^,]+, '\w+', '(\w+)', '([^']*)'", path.read_text()) for path in SCRIPTS]
    return {(code, message) for each in found for code, message in each}


def test_every_code_of_a_request() -> None:
    """The first table has a row for each code and status of an error response, and no others."""
    rows = table("## Requests")
    listed = {(row[0].strip("`"), int(status)) for row in rows for status in row[1].split(",")}
    assert set(ANSWERS.values()) == listed


def test_every_code_of_a_job() -> None:
    """The second table has a row for each code that a job can fail with, and no others."""
    codes = [row[0].strip("`") for row in table("## Jobs")]
    assert sorted({*FAILURES.values(), *SEPARATION_CODES.values(), INTERNAL}) == sorted(codes)


def test_every_code_of_a_track() -> None:
    """The last table but one has a row for each code that `stemline submit` itself gives, and no others."""
    codes = sorted(row[0].strip("`") for row in table("## Tracks"))
    assert sorted(OF_TRACKS) == codes
    given = {code for path in (REPOSITORY / "client" / "tracks").rglob("*.py") for code in written(path)}
    assert {*codes, "Cancel"} == {*given, "Cancel"}


def test_every_code_that_the_sources_have() -> None:
    """No source and no script of the store has a code that the page lacks."""
    known = set(re.findall(r"`([A-Za-z]+)`", PAGE))
    codes = {code for path in SOURCES for code in written(path)} | {code for code, _ in ends_of_scripts()}
    assert len(codes) > 5
    assert set() == codes - known


def test_every_message_of_a_script() -> None:
    """What a script of the store says when it ends a job is on the page, with its code."""
    messages = dict(table("### What the message says"))
    said = {(message, code) for code, message in ends_of_scripts() if message}
    assert len(said) > 1
    assert set() == {(message, code) for message, code in said if messages.get(message) != f"`{code}`"}


def test_every_status_of_a_command() -> None:
    """The tables of exit statuses are what `make docs` would write; no command ends with another status."""
    assert {name: page_of(name).read_text() for name in ("cli", "errors")} == pages()
    assert [str(status) for status in STATUSES] == [row[0] for row in table("## Commands")]
    given: set[int] = set()
    for path in (REPOSITORY / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="SystemExit" | "EndedAtOnce"), args=[ast.Constant(int(n))]):
                    given.add(n)
                case ast.Call(func=ast.Attribute(attr="exit"), args=[ast.Constant(int(n))]):
                    given.add(n)
                case ast.keyword(arg="status", value=ast.Constant(int(n))):
                    given.add(n)
    assert given <= set(STATUSES)


def test_every_row_has_a_cause_and_a_cure() -> None:
    """No row leaves out when its code comes, or what to do."""
    rows = [row for name in ("Requests", "Jobs", "Tracks", "Commands") for row in table(f"## {name}")]
    assert rows
    assert [] == [row for row in rows if not all(row)]


@pytest.mark.parametrize("kind", [JobFailed, SeparationError])
def test_every_message_of_a_job(kind: type[JobFailed | SeparationError]) -> None:
    """The third table has the default message of each failure, with the code that the job then has."""
    importlib.import_module("stemline.workers.engines")  # defines some
    messages = dict(table("### What the message says"))
    kinds = list(below(kind))
    assert kinds
    for each in kinds:
        error = each()
        if isinstance(error, WITHIN):
            assert str(error) not in messages
        else:
            assert isinstance(error, JobFailed | SeparationError)
            assert f"`{final_code(error)}`" == messages.get(error.message), each


def test_every_message_of_a_request() -> None:
    """The second table of requests has the default message of each refusal, with its code, and no others."""
    kinds: list[type[StemlineError]] = [StemlineError, *below(StemlineError)]
    errors = [kind() for kind in kinds if kind.__module__ == StemlineError.__module__]
    errors = [error for error in errors if not isinstance(error, (*WITHIN, JobFailed))]
    expected = {(error.message, f"`{code_of(error)}`") for error in errors}
    assert expected == {(row[0], row[1]) for row in table("### What the message of a request says")}


def test_every_status_of_an_attempt_of_a_callback() -> None:
    """docs/callbacks.md has each status that an attempt can have, and no others."""
    named: set[str] = set()
    for path in (REPOSITORY / "callbacks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="failed"), args=[ast.Constant(str(status)), *_]):
                    named.add(status)
                case ast.AnnAssign(target=ast.Name(id="_FAILURES"), value=ast.Tuple(elts=pairs)):
                    named |= {ast.literal_eval(pair.elts[1]) for pair in pairs if isinstance(pair, ast.Tuple)}
                case ast.keyword(arg="status", value=ast.IfExp(body=one, orelse=other)):
                    named |= {ast.literal_eval(each) for each in (one, other)}
    rows = re.search(r"The status of an attempt:\n\n(.*?)\n\n", CALLBACKS, re.DOTALL)
    assert rows is not None
    listed = set(re.findall(r"`([a-z-]+)`", rows[1]))
    assert "timeout" in named
    assert set() == named - listed
    assert set() == set(re.findall(r"^\| `([a-z-]+)`", rows[1], re.MULTILINE)) - named
