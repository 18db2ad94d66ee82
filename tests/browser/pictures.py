"""The pictures of the console in README and docs: make screenshots."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.service import Service
from tests.browser.thorough import full, opened
from tests.paths import REPOSITORY

__all__ = ["full"]

PICTURES = REPOSITORY / "docs" / "images"


def test_the_player(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """The page of a job that has ended shows its stems, which can be played."""
    started, views = full
    page = opened(browser, started, views["job"], 1100, "light")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
    page.get_by_role("button", name="Solo Voice").click()
    page.screenshot(path=PICTURES / "console-job.png")
    page.context.close()


def test_the_jobs(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """The list of jobs shows their states."""
    started, views = full
    page = opened(browser, started, views["jobs"], 1100, "light")
    expect(page.get_by_text("Success").first).to_be_visible()
    page.screenshot(path=PICTURES / "console-jobs.png")
    page.context.close()
