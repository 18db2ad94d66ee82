"""Each form of an assertion that cannot fail is found, and its honest counterpart is not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tools.check_tests import check, main


def rules(text: str) -> list[str]:
    return [found.rule for found in check(Path("test_x.py"), textwrap.dedent(text))]


def body(text: str) -> str:
    """A test of these lines."""
    return "def test_it(found, other):\n" + textwrap.indent(textwrap.dedent(text), "    ")


PLANTED = {
    "precedence": "assert {other} if found is not None else set() == found",
    "always-true": "assert found == 1 or True",
    "or-operand": "assert found == 200 or other",
    "message": "assert found, other == 3",
    "same": "assert found.text == found.text",
    "no-assertion": "found()",
    "early-return": "if other:\n    return\nassert found == 1",
    "empty-loop": "for each in found:\n    assert each == 1",
    "only-if": "if found:\n    assert found == 1",
    "vacuous-all": "assert other\nassert all(each == 1 for each in found)",
    "broad-raises": "with pytest.raises(Exception):\n    found()",
    "swallowed": "try:\n    assert found == 1\nexcept AssertionError:\n    pass",
    "unseeded": "assert found == random.choice(other)",
}
MORE = {
    "a loop that may not begin": ("empty-loop", "while found:\n    assert found.pop() == 1"),
    "branches that may all be passed over": (
        "only-if",
        "if found:\n    assert found == 1\nelif other:\n    assert other == 1",
    ),
    "cases that may all be passed over": ("only-if", "match found:\n    case 1:\n        assert other == 1"),
    "not any": ("vacuous-all", "assert other\nassert not any(each == 1 for each in found)"),
    "all of a map": ("vacuous-all", "assert other\nassert all(map(str.isdigit, found))"),
    "an error named by a keyword": (
        "broad-raises",
        "with pytest.raises(expected_exception=Exception):\n    found()",
    ),
    "an error with any text": ("broad-raises", "with pytest.raises(Exception, match='.*'):\n    found()"),
    "a broad handler": ("swallowed", "try:\n    assert found == 1\nexcept Exception:\n    pass"),
    "a bare handler": ("swallowed", "try:\n    assert found == 1\nexcept:\n    pass"),
    "a seed of none": ("unseeded", "assert found == random.Random(None).choice(other)"),
    "a wait for what is true": ("always-true", "eventually(lambda: (found, 3), 5)"),
}
HONEST = {
    "parentheses": "assert ({other} if found is not None else set()) == found",
    "an operand that compares": "assert found == 200 or other == 3",
    "a helper that asserts": "eventually(lambda: found, 5)",
    "a return at the end": "assert found == 1\nif other:\n    return\nassert other == 2",
    "a loop over a display": "for each in (1, 2):\n    assert found == each",
    "a loop over what was asserted": "assert found == [1]\nfor each in found:\n    assert each == 1",
    "a loop over what it filled": "wanted = {'a': 1}\nfor each in wanted.values():\n    assert each == other",
    "both branches": "if found:\n    assert found == 1\nelse:\n    assert other == 1",
    "three branches": (
        "if found:\n    assert found == 1\nelif other:\n    assert other == 1\nelse:\n    assert other == 0"
    ),
    "every case": "match found:\n    case 1:\n        assert other == 1\n    case _:\n        assert other",
    "a loop without end": "while True:\n    assert found.pop() == 1",
    "a handler of a call": "try:\n    found()\nexcept Exception:\n    pass\nassert other == 1",
    "a named error": "with pytest.raises(KeyError):\n    found()",
    "an error by its text": "with pytest.raises(Exception, match='gone'):\n    found()",
    "a seed": "assert found == random.Random(1).choice(other)",
}


@pytest.mark.parametrize(("rule", "lines"), PLANTED.items(), ids=PLANTED)
def test_each_form_is_found(rule: str, lines: str) -> None:
    """A test of this form alone is reported, by its rule."""
    assert [rule] == rules(body(lines))


@pytest.mark.parametrize(("rule", "lines"), MORE.values(), ids=MORE)
def test_other_spellings_are_found(rule: str, lines: str) -> None:
    """What means the same as one of the forms is reported by its rule."""
    assert [rule] == rules(body(lines))


@pytest.mark.parametrize("lines", HONEST.values(), ids=HONEST)
def test_what_can_fail_is_left_alone(lines: str) -> None:
    """A test whose assertion can fail is not reported."""
    assert [] == rules(body(lines))


@pytest.mark.parametrize(
    "asserted",
    [
        "('a', 'text')",
        "[other]",
        "{'a': other}",
        "(x for x in found)",
        "lambda: found",
        "f'{found}'",
        "'text: ' + found",
        "1",
        "not ()",
        "found == 1 and 'text'",
        "found or not found",
        "found in other or found not in other",
        "found < 1 or found >= 1",
        "found != 1 or found != 2",
        "len(found) >= 0",
        "-1 < found.count(other)",
        "'' in found",
        "set() <= found",
        "found.startswith('')",
        "found == mock.ANY",
        "isinstance(found, object)",
        "bool('text')",
    ],
)
def test_what_is_always_true_is_found(asserted: str) -> None:
    """A display, a generator, a function, a text, a number, and comparisons that always hold."""
    assert ["always-true"] == rules(body(f"assert {asserted}"))


@pytest.mark.parametrize(
    "asserted",
    [
        "[*found]",
        "{**found}",
        "len(found) > 0",
        "found.count(other) >= 1",
        "found or other",
        "not found or not other",
        "found != 1 or other != 2",
        "found == 1 or found == 2",
        "found < 1 or found > 1",
        "'a' in found",
        "found >= {other}",
        "not (found and other)",
        "found + 'text'",
    ],
)
def test_what_may_be_false_is_left_alone(asserted: str) -> None:
    """Similar assertions that can fail are not reported."""
    assert [] == rules(body(f"assert {asserted}"))


def test_a_finding_fails_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names file, line and rule, and its status is 1; without findings it is 0."""
    planted = tmp_path / "test_planted.py"
    planted.write_text(body(PLANTED["precedence"]))
    assert main([str(tmp_path)]) == 1
    assert f"{planted}:2: precedence: " in capsys.readouterr().out
    planted.write_text(body(HONEST["parentheses"]))
    assert main([str(tmp_path)]) == 0


def test_make_check_runs_it() -> None:
    """`make lint`, which is part of `make check`, runs the command on all tests."""
    assert "\tpython -m tools.check_tests\n" in (REPOSITORY / "Makefile").read_text()
