"""Reads the project's Dockerfiles: their stages, and what those copy, run and probe."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pathspec

from tests.paths import REPOSITORY


@dataclass(slots=True)
class Stage:
    """A stage with what it got from the one it builds upon."""

    base: str
    env: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    probe: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    """Source in the repository and target of every COPY from the build context."""


def stages(path: Path) -> dict[str, Stage]:  # noqa: C901 - one branch an instruction
    """The named stages of a Dockerfile, in order."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    found: dict[str, Stage] = {}
    now = Stage("")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "ARG" and not found:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            base = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], base)
            old = found.get(base)
            now = Stage(old.base if old else base)
            if old:
                now.env, now.user, now.entrypoint = dict(old.env), old.user, list(old.entrypoint)
                now.runs, now.copies = list(old.runs), list(old.copies)
            found[name] = now
        elif word == "ENV":
            now.env.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            now.user = rest
        elif word == "COPY" and not rest.startswith("--from="):
            *sources, target = rest.split()
            now.copies += [(source, target) for source in sources]
        elif word == "RUN":
            now.runs.append(rest)
        elif word == "ENTRYPOINT":
            now.entrypoint = json.loads(rest)
        elif word == "CMD":
            now.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            now.probe = json.loads(rest.partition("CMD ")[2])
    return found


def copy_context(copies: Iterable[tuple[str, str]], folder: Path) -> None:
    """Copy what COPY instructions would copy: files that ``.dockerignore`` lets through, links as links."""
    ignored = pathspec.PathSpec.from_lines(
        "gitignore", (REPOSITORY / ".dockerignore").read_text().splitlines()
    )

    def skip(parent: str, names: list[str]) -> list[str]:
        paths = {name: Path(parent, name) for name in names}
        slash = {name: "/" if path.is_dir() and not path.is_symlink() else "" for name, path in paths.items()}
        return [
            name
            for name, path in paths.items()
            if ignored.match_file(f"{path.relative_to(REPOSITORY)}{slash[name]}")
        ]

    for source, target in copies:
        origin, copy = REPOSITORY / source, folder / target
        if origin.is_dir():
            shutil.copytree(origin, copy, symlinks=True, ignore=skip, dirs_exist_ok=True)
        elif not ignored.match_file(source):
            copy = copy / origin.name if target.endswith("/") else copy
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, copy)
