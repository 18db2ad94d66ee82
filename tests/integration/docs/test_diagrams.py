"""The diagrams of the documentation, drawn by the script that the site brings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.conftest import missing
from tests.paths import REPOSITORY
from tests.support import snippets

DIAGRAMS = [block for block in snippets.all_blocks() if block.language == "mermaid"]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """An empty page with the script."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except Error as error:
            missing(f"Chromium: {error}")
        opened = browser.new_page()
        opened.set_content("<!doctype html><title>diagrams</title>")
        opened.add_script_tag(path=REPOSITORY / "docs" / "assets" / "mermaid.tiny.js")
        opened.evaluate("mermaid.initialize({ startOnLoad: false })")
        yield opened
        browser.close()


def test_there_are_diagrams_of_a_job() -> None:
    """The page on how a job flows shows the parts, the way of a job and its states."""
    kinds = [block.code.split()[0] for block in DIAGRAMS if block.page == "docs/architecture.md"]
    assert ["flowchart", "sequenceDiagram", "stateDiagram-v2"] == kinds


@pytest.mark.parametrize("block", DIAGRAMS, ids=str)
def test_diagram(block: snippets.Block, page: Page) -> None:
    """Each diagram is drawn without an error."""
    drawn = page.evaluate("async code => (await mermaid.render('d', code)).svg", block.code)
    assert drawn.startswith("<svg")
    assert "Syntax error" not in drawn
