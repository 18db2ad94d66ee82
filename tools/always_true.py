"""Expressions that are true whatever happened, so that to assert them shows nothing.

Used by `tools.check_tests`. What cannot be seen from the expression alone counts as unknown.
"""

from __future__ import annotations

import ast

_INVERSE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.In: ast.NotIn,
    ast.Is: ast.IsNot,
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
}
_INVERSE |= {new: old for old, new in _INVERSE.items()}
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.LtE: ast.GtE, ast.Lt: ast.Gt}
_COUNTS = {"len", "count"}


def is_always_true(test: ast.expr) -> bool:
    """Return whether an expression is surely true."""
    return _truth(test) is True


def _truth(test: ast.expr) -> bool | None:
    """Return what an expression surely is, or None."""
    found: bool | None = None
    match test:
        case ast.Constant(value=value):
            found = bool(value)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Dict(keys=parts):
            # What is unpacked into a display may be empty; a dictionary has no key for it.
            surely = [each for each in parts if not isinstance(each, ast.Starred | None)]
            found = None if parts and not surely else bool(parts)
        case ast.JoinedStr() | ast.GeneratorExp() | ast.Lambda():
            found = True
        case ast.UnaryOp(op=ast.Not()):
            known = _truth(test.operand)
            found = None if known is None else not known
        case ast.BinOp(left=ast.Constant(value=str(text))) if text:
            found = True  # a text with something added to it or filled in
        case ast.BoolOp():
            found = _truth_of_several(test)
        case ast.Compare():
            found = _truth_of_comparison(test)
        case ast.Call():
            found = _truth_of_call(test)
    return found


def _truth_of_several(test: ast.BoolOp) -> bool | None:
    known = [_truth(each) for each in test.values]
    if isinstance(test.op, ast.And):
        return False if False in known else True if set(known) == {True} else None
    contrary = any(
        _are_contrary(one, other) for n, one in enumerate(test.values) for other in test.values[n + 1 :]
    )
    return True if True in known or contrary else False if set(known) == {False} else None


def _are_contrary(one: ast.expr, other: ast.expr) -> bool:
    """Return whether at least one of two expressions is true: `a` and `not a`, `a != 1` and `a != 2`."""
    for this, that in ((one, other), (other, one)):
        if isinstance(that, ast.UnaryOp) and isinstance(that.op, ast.Not) and _same(this, that.operand):
            return True
    match one, other:
        case ast.Compare(ops=[first]), ast.Compare(ops=[second]) if _same(one.left, other.left):
            (to, or_to) = (*one.comparators, *other.comparators)
            if _same(to, or_to):
                return _INVERSE.get(type(first)) is type(second)
            return (
                isinstance(first, ast.NotEq)
                and isinstance(second, ast.NotEq)
                and isinstance(to, ast.Constant)
                and isinstance(or_to, ast.Constant)
            )
    return False


def _truth_of_comparison(test: ast.Compare) -> bool | None:
    if len(test.ops) != 1:
        return None
    left, op, right = test.left, type(test.ops[0]), test.comparators[0]
    if op in _MIRRORED:
        left, op, right = right, _MIRRORED[op], left
    never_below_0 = isinstance(left, ast.Call) and ast.unparse(left.func).rpartition(".")[2] in _COUNTS
    limit = ast.unparse(right)
    certain = (
        (never_below_0 and (op, limit) in {(ast.GtE, "0"), (ast.Gt, "-1")})
        or (op is ast.GtE and limit == "set()")  # every set holds the empty one
        or (op is ast.In and isinstance(left, ast.Constant) and left.value in {"", b""})
        or (op is ast.Eq and any(ast.unparse(each).rpartition(".")[2] == "ANY" for each in (left, right)))
    )
    return True if certain else None


def _truth_of_call(test: ast.Call) -> bool | None:
    arguments = [ast.unparse(each) for each in test.args]
    name = ast.unparse(test.func).rpartition(".")[2]
    certain = (
        (name == "isinstance" and arguments[1:] == ["object"])
        or (name in {"startswith", "endswith"} and arguments in (["''"], ["b''"]))
        or (name == "bool" and len(test.args) == 1 and is_always_true(test.args[0]))
    )
    return True if certain else None


def _same(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)
