"""Iterables that surely hold something, so that a loop over them is entered.

Used by `tools.check_tests`. What cannot be seen from the function alone counts as unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, TypeAlias

Values: TypeAlias = dict[str, list[ast.expr]]
"""What a function assigns, by name."""


def local_values(function: ast.AST) -> Values:
    """Return what is assigned to each name in a function."""
    values: Values = {}
    for node in own_nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            values.setdefault(node.target.id, []).append(node.value)
    return values


def is_filled(iterable: ast.expr, values: Values) -> bool:
    """Return whether an iterable surely holds something: a display, a range, a constant by its name."""
    found = False
    match iterable:
        case ast.Tuple() | ast.List() | ast.Set():
            found = bool(iterable.elts)
        case ast.Dict():
            found = bool(iterable.keys)
        case ast.Constant():
            found = bool(iterable.value)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            found = all(not each.ifs and is_filled(each.iter, values) for each in iterable.generators)
        case ast.Name():
            # A constant, a class (an enumeration has members), or what the function itself filled.
            known = values.get(iterable.id, [])
            others = {name: value for name, value in values.items() if name != iterable.id}
            is_named = iterable.id.lstrip("_")[:1].isupper()
            found = is_named or (bool(known) and all(is_filled(each, others) for each in known))
        case ast.Attribute():
            found = iterable.attr.isupper() or iterable.attr == "__all__"
        case ast.Subscript(slice=ast.Slice(lower=None, upper=ast.Constant())):
            found = is_filled(iterable.value, values)  # the first few of what is there
        case ast.BinOp():
            found = is_filled(iterable.left, values) or is_filled(iterable.right, values)
        case ast.Call():
            found = _is_filled_call(iterable, values)
    return found


def _is_filled_call(call: ast.Call, values: Values) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "range":
        return all(isinstance(each, ast.Constant | ast.Name | ast.BinOp | ast.UnaryOp) for each in call.args)
    if name == "islice" and call.args:
        return is_filled(call.args[0], values)
    if name in {"enumerate", "zip", "sorted", "reversed", "product", "tuple", "list", "set"}:
        strict = any(word.arg == "strict" and is_true(word.value) for word in call.keywords)
        filled = [is_filled(each, values) for each in call.args]
        return any(filled) if strict else bool(filled) and all(filled)
    if name in {"items", "keys", "values", "split"} and isinstance(call.func, ast.Attribute):
        return is_filled(call.func.value, values)
    return False


def own_nodes(function: ast.AST) -> Iterator[Any]:
    """Walk a function without the functions defined in it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from own_nodes(child)


def is_true(value: ast.expr) -> bool:
    """Return whether an expression is the constant True."""
    return isinstance(value, ast.Constant) and value.value is True
