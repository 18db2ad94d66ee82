"""Find assertions that cannot fail, and tests that may end before they assert anything.

    python -m tools.check_tests [PATH ...]

Prints one line for each place and exits with 1 if there is any. Rules:

- ``precedence``: ``assert a if b else c == d`` compares only in one branch.
- ``always-true``: what is asserted or waited for, or one of several operands, is true whatever happened: a
  constant, a display, a generator, ``len(x) >= 0``, ``x or not x`` and more; see `tools.always_true`.
- ``or-operand``: ``assert x == a or b`` holds whenever ``b`` is true, whatever ``x`` is.
- ``message``: in ``assert a, b == c`` the comparison is only the message.
- ``same``: both sides of a comparison are the same expression.
- ``no-assertion``: a test neither asserts anything nor waits for anything that could fail it.
- ``early-return``: a test returns before its later assertions without having asserted anything.
- ``empty-loop``: all assertions of a test are in loops over what may be empty.
- ``only-if``: all assertions of a test depend on a condition.
- ``vacuous-all``: ``assert all(…)`` or ``assert not any(…)`` over what may be empty, in a test that asserts
  nothing else about it.
- ``broad-raises``: ``pytest.raises`` accepts every exception, with every text.
- ``swallowed``: a failed assertion is caught.
- ``unseeded``: random numbers without a seed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.always_true import is_always_true
from tools.surely_filled import Values, is_filled, is_true, local_values, own_nodes

Found = Iterator[tuple[int, str, str]]
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BARE = (ast.Name, ast.Attribute, ast.Constant, ast.JoinedStr)
_BROAD = {"Exception", "BaseException"}
_WAITING = {"eventually", "wait_until", "wait_for"}
_RANDOM_FUNCTIONS = {
    "choice",
    "choices",
    "randint",
    "random",
    "randrange",
    "sample",
    "shuffle",
    "uniform",
    "randbytes",
}
_FAILING = {
    *_WAITING,
    "call_and_validate",
    "run_state_machine_as_test",
    "raise_for_status",
    "check_call",
    "check_output",
}
"""Calls that fail the test where something is wrong; so do all whose name begins with ``check``."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that needs a look."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def check(path: Path, text: str | None = None) -> list[Finding]:
    """Return what is found in one file, in the order of its lines."""
    tree = ast.parse(path.read_text() if text is None else text, filename=str(path))
    asserting = {
        node.name for node in ast.walk(tree) if isinstance(node, _Function) and _asserts_anywhere(node)
    }
    found = [*_assertions(tree), *_raises(tree), *_random(tree), *_swallowed(tree)]
    for node in ast.walk(tree):
        if isinstance(node, _Function) and node.name.startswith("test"):
            found += _test(node, asserting)
    return sorted(Finding(path, line, rule, text) for line, rule, text in found)


def _assertions(tree: ast.AST) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            if isinstance(node.msg, ast.Compare):
                yield node.lineno, "message", "the comparison after the comma is only the message"
            for rule, text in _wrong_form(node.test):
                yield node.lineno, rule, text
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _WAITING:
            conditions = [each.body for each in node.args if isinstance(each, ast.Lambda)]
            if any(is_always_true(each) for each in conditions):
                yield node.lineno, "always-true", "what is waited for is always true"


def _wrong_form(test: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an asserted expression."""
    if is_always_true(test):
        yield "always-true", "this expression is always true"
    elif isinstance(test, ast.IfExp):
        yield "precedence", "put the conditional expression into parentheses, or assert it apart"
    elif isinstance(test, ast.Compare) and len(test.comparators) == 1:
        if ast.dump(test.left) == ast.dump(test.comparators[0]):
            yield "same", "both sides are the same expression"
    elif isinstance(test, ast.BoolOp):
        compares = isinstance(test.op, ast.Or) and any(isinstance(each, ast.Compare) for each in test.values)
        if any(is_always_true(value) for value in test.values):
            yield "always-true", "one operand is always true"
        elif compares and any(isinstance(value, _BARE) for value in test.values[1:]):
            yield "or-operand", "a bare operand makes the assertion hold"


def _raises(tree: ast.AST) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"pytest.raises", "raises"}:
            named = {word.arg: word.value for word in node.keywords}
            kind = node.args[0] if node.args else named.get("expected_exception")
            kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind] if kind else []
            matched = "check" in named or ("match" in named and not _matches_everything(named["match"]))
            if not matched and any(ast.unparse(each) in _BROAD for each in kinds):
                yield (
                    node.lineno,
                    "broad-raises",
                    "any mistake in the block would do; name the error or match its text",
                )


def _matches_everything(pattern: ast.expr) -> bool:
    return (
        isinstance(pattern, ast.Constant)
        and isinstance(pattern.value, str)
        and re.search(pattern.value, "") is not None
    )


def _test(function: _Function, asserting: set[str]) -> Found:
    lines = [node.lineno for node in own_nodes(function) if _asserts(node, asserting)]
    if not lines:
        yield function.lineno, "no-assertion", "the test asserts nothing"
        return
    for node in own_nodes(function):
        if isinstance(node, ast.Return) and min(lines) > node.lineno:
            yield node.lineno, "early-return", "the test can end here without an assertion"
    values = local_values(function)
    if all(_in_doubtful_loop(function, line, values) for line in lines):
        yield min(lines), "empty-loop", "assert that there is something to loop over"
    elif all(_under_condition(function, line) for line in lines):
        yield min(lines), "only-if", "assert the condition, or make two tests of it"
    for node in own_nodes(function):
        over = _over_all(node.test) if isinstance(node, ast.Assert) else None
        if over is not None and not is_filled(over, values):
            names = {each.id for each in ast.walk(over) if isinstance(each, ast.Name)}
            others = [
                each for each in own_nodes(function) if isinstance(each, ast.Assert) and each is not node
            ]
            if not any(isinstance(n, ast.Name) and n.id in names for each in others for n in ast.walk(each)):
                yield node.lineno, "vacuous-all", "assert that there is something to check"


def _over_all(test: ast.expr) -> ast.expr | None:
    """Return what ``all(… for … in iterable)``, ``all(map(…, iterable))`` or ``not any(…)`` goes over."""
    wanted = "all"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        wanted, test = "any", test.operand
    if isinstance(test, ast.Call) and ast.unparse(test.func) == wanted and len(test.args) == 1:
        (argument,) = test.args
        if isinstance(argument, ast.GeneratorExp | ast.ListComp):
            return argument.generators[0].iter
        if isinstance(argument, ast.Call) and ast.unparse(argument.func) == "map":
            return argument.args[-1]
    return None


def _asserts_anywhere(function: _Function) -> bool:
    return any(_asserts(node, set()) for node in ast.walk(function))


def _asserts(node: ast.AST, asserting: set[str]) -> bool:
    """Return whether a node can fail the test: an assertion, or a call of a helper that asserts."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    last = name.rpartition(".")[2]
    return (
        name in {"pytest.raises", "pytest.warns", "pytest.fail", "raises", "expect"}
        or "assert" in name
        or last in _FAILING | asserting
        or last.startswith("check")
        or (last == "run" and any(word.arg == "check" and is_true(word.value) for word in node.keywords))
    )


def _in_doubtful_loop(function: ast.AST, line: int, values: Values) -> bool:
    loops = [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While)
        and node.lineno < line <= (node.end_lineno or node.lineno)
    ]
    return any(
        not (is_always_true(loop.test) if isinstance(loop, ast.While) else is_filled(loop.iter, values))
        for loop in loops
    )


def _under_condition(function: ast.AST, line: int) -> bool:
    return any(
        isinstance(node, ast.If | ast.Match)
        and not _takes_a_branch(node)
        and node.lineno < line <= (node.end_lineno or node.lineno)
        for node in own_nodes(function)
    )


def _takes_a_branch(node: ast.If | ast.Match) -> bool:
    """Return whether there is a branch for everything that no other branch takes."""
    if isinstance(node, ast.Match):
        return any(
            each.guard is None and isinstance(each.pattern, ast.MatchAs) and each.pattern.pattern is None
            for each in node.cases
        )
    match node.orelse:
        case [ast.If() as other]:
            return _takes_a_branch(other)
    return bool(node.orelse)


def _swallowed(tree: ast.AST) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            broad = _BROAD if _has(node.body, ast.Assert) else set()
            for handler in node.handlers:
                kinds = set(re.findall(r"\w+", ast.unparse(handler.type))) if handler.type else broad
                if kinds & {"AssertionError", *broad} and not _has(handler.body, ast.Raise):
                    yield handler.lineno, "swallowed", "a failed assertion is caught here"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            kinds = {ast.unparse(each) for each in node.args}
            if kinds & {"AssertionError", *_BROAD} and _guards_an_assertion(tree, node):
                yield node.lineno, "swallowed", "a failed assertion is suppressed here"


def _has(body: list[ast.stmt], kind: type[ast.AST]) -> bool:
    return any(isinstance(each, kind) for statement in body for each in ast.walk(statement))


def _guards_an_assertion(tree: ast.AST, suppress: ast.Call) -> bool:
    return any(
        isinstance(node, ast.With)
        and any(item.context_expr is suppress for item in node.items)
        and any(isinstance(each, ast.Assert) for each in ast.walk(node))
        for node in ast.walk(tree)
    )


def _random(tree: ast.AST) -> Found:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        module, _, function = name.rpartition(".")
        seeds = [each for each in node.args if not (isinstance(each, ast.Constant) and each.value is None)]
        unseeded = name in {"random.Random", "Random", "np.random.default_rng", "default_rng"} and not seeds
        if unseeded or (module in {"random", "np.random"} and function in _RANDOM_FUNCTIONS):
            yield node.lineno, "unseeded", f"{name} without a seed"


def main(arguments: list[str]) -> int:
    """Check files and folders; return the exit status."""
    roots = [Path(each) for each in arguments or ["tests"]]
    files = sorted({file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py"))})
    found = [each for file in files for each in check(file)]
    for each in found:
        print(each)
    print(f"{len(files)} files of tests: {len(found)} assertions that cannot fail")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
