"""Searching a text takes time in proportion to its length: a longer one from outside holds nobody up."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "callbacks", "client", "jobs", "runtime", "storage", "wire", "workers")
WAYS = {"fullmatch", "match", "search", "sub", "findall", "finditer", "split"}
MAKERS = {"re.compile", *(f"re.{way}" for way in WAYS)}
OF_OPERATORS = {
    "runtime/redaction.py: [a-z0-9+.-]+://[^/@]*?:([^/@]+)@",
    "runtime/redaction.py: [?&]sentinel_password=([^&;]+)",
}
"""Expressions for texts of the settings alone."""
UNITS = (*"a0 \n.-/", "://", "http://", "a.", "a-", "a=", "a@")
SHORT, LONG = 1_250, 10_000


def expressions() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes], set[str]]]:
    """Yield every regular expression of the product, where it is, and how it is applied."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text()
            if "re." in source or "matching(" in source:
                yield from _expressions_of(path.relative_to(ROOT), source)


def _expressions_of(path: Path, source: str) -> Iterator[tuple[str, re.Pattern, set[str]]]:
    tree, names = ast.parse(source), dict[int, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            names[id(node.value)] = getattr(target, "id", "")
    space = vars(importlib.import_module("stemline." + ".".join(path.with_suffix("").parts)))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        maker = ast.unparse(node.func)
        if maker != "matching" and maker not in MAKERS:
            continue
        flags = node.args[1] if maker == "re.compile" and len(node.args) > 1 else None
        try:
            text = _value(node.args[0], space)
        except NameError:  # made from what a caller gives, whose expression is found there
            continue
        pattern = re.compile(text, _value(flags, space) if flags is not None else 0)
        used = {maker.removeprefix("re.") if maker != "matching" else "fullmatch"}
        if maker == "re.compile":
            used = set(re.findall(rf"\b{names.get(id(node)) or '-'}\.(\w+)\(", source)) & WAYS
        yield f"{path}: {text}", pattern, used or {"sub"}


def _value(node: ast.expr, space: dict[str, object]) -> Any:
    return eval(compile(ast.Expression(node), "<expression>", "eval"), space)


def seconds(call: Callable[[], object]) -> float:
    """Return the least processor time that a call took of three."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return min(times)


def is_slow(pattern: re.Pattern, way: str, unit: str, begin: str) -> bool:
    """Return whether eight times the text takes far more than eight times as long."""

    def applied(length: int) -> Callable[[], object]:
        text: Any = begin + unit * (length // len(unit)) + "\x00"
        text = text.encode() if isinstance(pattern.pattern, bytes) else text
        if way == "sub":
            return lambda: pattern.sub(text[:0], text)
        if way == "finditer":
            return lambda: list(pattern.finditer(text))
        return lambda: getattr(pattern, way)(text)

    began = time.thread_time()
    applied(LONG)()
    if time.thread_time() - began < 0.003:
        return False
    long_s = seconds(applied(LONG))
    return long_s > 0.003 and long_s > 24 * seconds(applied(SHORT))


def slow_texts(pattern: re.Pattern, ways: set[str]) -> Iterator[str]:
    """Yield the repeated texts for which an expression takes more than linear time."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    parts = dict.fromkeys(re.findall(r"[A-Za-z0-9_:/=@.<&;+-]{2,}", text))
    yield from (
        f"{way} {begin!r} {unit!r}"
        for way in sorted(ways)
        for unit in (*parts, *UNITS)
        for begin in ("", *list(parts)[: len(unit) == 1])
        if is_slow(pattern, way, unit, begin)
    )


def test_every_expression_of_the_product_takes_linear_time():
    """No regular expression that texts from outside meet takes more than linear time for a repeated text."""
    found = {name: (pattern, ways) for name, pattern, ways in expressions() if name not in OF_OPERATORS}
    assert len(found) > 40
    assert {} == {name: slow for name, each in found.items() if (slow := list(slow_texts(*each)))}


@pytest.mark.parametrize("text", [r"(https?://[^\s?]+)\?\S+", r"input_value=.*?, input_type=", r"\s+$"])
def test_the_test_finds_expressions_that_take_longer(text):
    """An expression that tries every beginning to the end of the text is found."""
    assert next(slow_texts(re.compile(text, re.DOTALL), {"search"}))
