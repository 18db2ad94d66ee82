"""The console against the whole local stack: a real worker separates what the page uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import FilePayload, Page, expect

from stemline.deploy.local.addresses import Addresses
from tests.browser.worker import tone, wav

NULL_TEST = Path(__file__).with_name("null_test.js").read_text()


def test_from_the_printed_link_to_stems_that_add_up(page: Page, where: dict[str, Any]) -> None:
    """The link of the stack signs in; a song is uploaded, separated, and its stems add up to the mix."""
    page.goto(Addresses.read(where).console_link)
    expect(page.get_by_role("navigation")).to_be_visible()
    assert where["secret_key"] not in page.url
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("Codec").select_option("wav")
    song = FilePayload(name="stack.wav", mimeType="audio/wav", buffer=wav(tone(5)))
    page.locator("input[type=file]").set_input_files(song)
    page.get_by_role("link", name="Open the job").click()
    expect(page.get_by_role("heading", name="stack.wav")).to_contain_text("Success", timeout=180_000)
    expect(page.locator(".player canvas[data-drawn=wave]")).to_have_count(3)
    expect(page.get_by_role("region", name="Measured")).to_contain_text("LUFS")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Succeeded on separat")
    flower = page.get_by_role("link", name="In Flower").get_attribute("href") or ""
    assert flower.startswith(where["flower"]["url"])
    job = page.url.rpartition("job=")[2]
    found = page.evaluate(NULL_TEST, job)
    assert ([], 5 * 44_100) == (found["failed"], found["length"])
    assert found["db"] <= -90
    page.get_by_role("link", name="Workers").click()
    for kind in ("separation", "callbacks"):  # they report themselves
        worker = page.locator("section[data-worker]", has=page.locator(f"[data-kind={kind}]"))
        expect(worker.first).to_contain_text("Alive")
        expect(worker.first.locator("dl")).not_to_contain_text("auto")
    expect(page.locator("[data-kind=separation] dd").first).to_have_text("cpu")
    expect(page.locator(".state.Unknown")).to_have_count(0)  # those that jobs name are those that report


def test_the_root_leads_to_the_console(where: dict[str, Any]) -> None:
    """A browser that opens the address of the API gets the console."""
    headers = {"Accept": "text/html"}
    answer = httpx.get(f"{where['api']}/", headers=headers, trust_env=False, follow_redirects=True)
    assert "console/static/app.js" in answer.text
