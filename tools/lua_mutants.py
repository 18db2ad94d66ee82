"""Small changes of the store's scripts; tools/mutate_lua.py tries them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path("jobs/store/lua")
_SWAPS: Final = (
    *((f" {one} ", f" {other} ") for one, other in (("==", "~="), ("~=", "=="), ("<=", "<"), (">=", ">"))),
    *((f" {one} ", f" {other} ") for one, other in (("<", "<="), (">", ">="), (r"\+", "-"), ("-", "+"))),
    (" and ", " or "),
    (" or ", " and "),
    (r"\bnot ", ""),
    (r"math\.max", "math.min"),
    (r"math\.min", "math.max"),
    (r"(?<![\w\[:.'])0(?![\w.])", "1"),
    (r"(?<![\w\[:.'])1(?![\w.])", "2"),
)
_CALL: Final = re.compile(r"^\s*(redis\.call|refresh|leave_\w+|append|check_version|publish\w*)\(.*\)$")

FUNCTION: Final = re.compile(r"^local function (\w+)\([^)]*\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one line of a script."""

    script: str
    line: int
    before: str
    after: str
    function: str = ""
    """The function around it; empty outside of any."""

    @property
    def place(self) -> str:
        """Return the script and the function; for a shared function ``lib`` instead of its file."""
        return f"{self.script.partition('/')[0]}/{self.function}"

    def __str__(self) -> str:
        return (
            f"{self.script}.lua:{self.line}: {self.before.strip()}  ->  {self.after.strip() or '(left out)'}"
        )


def mutants(script: str, text: str) -> Iterator[Mutant]:
    """Yield every change of a script."""
    function = ""
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition("--")[0].rstrip()
        if not code.strip():
            continue
        if begins := FUNCTION.match(code):
            function = begins[1]
        if _CALL.match(code):
            yield Mutant(script, number, code, "", function)
        for pattern, other in _SWAPS:
            for match in re.finditer(pattern, code):
                after = code[: match.start()] + other + code[match.end() :]
                yield Mutant(script, number, code, after, function)
        if re.match(r"(local function .* )?end\b", code):
            function = ""


def changed(text: str, mutant: Mutant) -> str:
    """Return a script with one line changed."""
    lines = text.splitlines()
    lines[mutant.line - 1] = mutant.after
    return "\n".join(lines) + "\n"
