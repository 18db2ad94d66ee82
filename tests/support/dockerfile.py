"""Reads the project's Dockerfiles: their stages, what those run and how they are probed."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


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
                now.runs = list(old.runs)
            found[name] = now
        elif word == "ENV":
            now.env.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            now.user = rest
        elif word == "RUN":
            now.runs.append(rest)
        elif word == "ENTRYPOINT":
            now.entrypoint = json.loads(rest)
        elif word == "CMD":
            now.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            now.probe = json.loads(rest.partition("CMD ")[2])
    return found
