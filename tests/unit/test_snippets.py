"""Every fenced block of the documentation is run by a test, or says why it is not."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml
from lxml import etree
from standardwebhooks import Webhook

from stemline.cli.main import main
from stemline.runtime.settings import Settings
from tests.paths import REPOSITORY
from tests.support import snippets
from tests.support.snippets import Block

BLOCKS = snippets.all_blocks()
PARSED = ("json", "yaml", "xml")
#: What a program prints has no line that begins with one of these.
COMMANDS = (
    "$ ",
    "stemline ",
    ".venv/bin/",
    "make ",
    "curl ",
    "docker ",
    "helm ",
    "pip ",
    "python ",
    "STEMLINE_",
)


def fault(block: Block) -> str:
    """What is wrong with a block's marking."""
    if block.test or block.language in {*PARSED, "mermaid"}:
        return ""
    if block.language == "text":
        typed = [line for line in block.code.splitlines() if line.startswith(COMMANDS)]
        return f"shows a command as output: {typed[0]}" if typed and not block.reason else ""
    return "" if len(block.reason.split()) > 3 else "is neither run nor says why not"


def test_every_block_is_run_or_says_why_not() -> None:
    """No block that a reader would copy is without a test or a reason."""
    assert len(BLOCKS) > 50
    assert [] == [f"{block} {said}" for block in BLOCKS if (said := fault(block))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nmake up\n```\n", "is neither run nor says why not"),
        ("<!-- not run: because -->\n```sh\nmake up\n```\n", "is neither run nor says why not"),
        ("<!-- not run: it builds images for an hour -->\n```sh\nmake up\n```\n", ""),
        ("<!-- run: test_a::test_b -->\n```sh\nmake up\n```\n", ""),
        ("```\nanything\n```\n", "is neither run nor says why not"),
        ("```text\nmake up\n```\n", "shows a command as output: make up"),
        ("1. In a list:\n\n   ```sh\n   make up\n   ```\n", "is neither run nor says why not"),
    ],
)
def test_a_block_without_a_mark_is_found(text: str, said: str) -> None:
    """A block without a mark is found, in a list too; so is an empty reason, or a command shown as output."""
    (block,) = snippets.blocks_of(text, REPOSITORY / "README.md")
    assert said == fault(block)


def test_every_named_test_exists_and_reads_its_block() -> None:
    """A mark names a test function, in a module that asks for its blocks or reads its page."""
    wrong = []
    for block in BLOCKS:
        if block.test:
            module, _, name = block.test.partition("::")
            texts = [path.read_text() for path in (REPOSITORY / "tests").rglob(f"{module}.py")]
            asked_for = (block.test, f'block("{name}")', Path(block.page).name)
            readers = [text for text in texts if any(words in text for words in asked_for)]
            if name not in {found for text in readers for found in functions(text)}:
                wrong.append(f"{block}: {block.test}")
    assert [] == wrong


def functions(source: str) -> set[str]:
    """The names of the functions that a module defines."""
    return {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in PARSED], ids=str)
def test_data_can_be_parsed(block: Block) -> None:
    """A block of JSON, YAML or XML is well-formed; a part of an XML document may have several elements."""
    if block.language == "json":
        assert json.loads(block.code)
    elif block.language == "yaml":
        assert yaml.safe_load(block.code)
    else:
        body = block.code.removeprefix("<?xml version='1.0' encoding='utf-8' ?>")
        assert len(etree.fromstring(f"<part>{body}</part>"))


def command_lines(first: str) -> list[tuple[Block, list[str]]]:
    """The words of each shell line that calls a program, without what a shell does for it."""
    found = []
    for block in BLOCKS:
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True) if first in line and "$(" not in line else []
                if words and Path(words[0]).name == first:
                    found.append((block, words[1:]))
    return found


@pytest.mark.parametrize(("block", "words"), command_lines("stemline"), ids=str)
def test_commands_exist_with_their_options(block: Block, words: list[str]) -> None:
    """Each call of stemline that a page shows, run or not, names a command, options and values that exist."""
    command: click.Command = main
    context = click.Context(main, info_name="stemline")
    words = [word for word in words if word != "&"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{block}: there is no command {words[0]}"
        command, words = found, words[1:]
    given = [word.split("=")[0] for word in words if word.startswith("-")]
    known = {
        name
        for parameter in command.get_params(context)
        for name in parameter.opts + parameter.secondary_opts
    }
    assert set() == set(given) - known, block


def test_make_targets_exist() -> None:
    """Each call of make that a page shows names a target."""
    makefiles = [REPOSITORY / "Makefile", *(REPOSITORY / "make").glob("*.mk")]
    targets = {
        name for file in makefiles for name in re.findall(r"^([a-z-]+):", file.read_text(), re.MULTILINE)
    }
    called = {word for _, words in command_lines("make") for word in words if "=" not in word}
    assert called
    assert set() == called - targets


def test_a_webhook_secret() -> None:
    """The command of docs/callbacks.md makes a webhook secret with which callbacks can be signed."""
    (code,) = snippets.run_by("test_snippets::test_a_webhook_secret")
    words = shlex.split(code)
    assert "python" == words[0]
    made = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True).stdout
    assert made.startswith("whsec_")
    assert Webhook(made.strip()).sign("msg", datetime.now(UTC), "{}")


def test_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every STEMLINE_ variable that a page sets in a block is a setting, and its value is accepted."""
    lines = [
        word
        for code in snippets.run_by("test_snippets::test_variables_are_settings")
        for word in shlex.split(code, comments=True)
    ]
    for line in lines:
        name, _, value = line.partition("=")
        assert name.removeprefix("STEMLINE_").lower() in Settings().by_variable()
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            Settings()
    assert len(lines) > 1
