"""A real browser, and a service for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stemline.deploy.local.servers import SeaweedServer
from tests.browser.service import Service, service
from tests.conftest import missing

expect.set_options(timeout=20_000)  # the machine may be busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system: nothing is downloaded.

    Not for the whole session: while Playwright runs, its event loop is in the way of tests that use asyncio.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("chromium")
    with sync_playwright() as playwright:
        # Where there is no card its stand-in would take processor time.
        arguments = ["--autoplay-policy=no-user-gesture-required", "--disable-gpu"]
        # As root, in a container, Chromium cannot make its own sandbox.
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        expect.set_options(timeout=30_000)  # a busy machine needs longer than the usual 5 s
        yield started
        started.close()


@pytest.fixture(scope="module")
def running(s3_server: SeaweedServer) -> Iterator[Service]:
    """A service whose worker splits sound at once."""
    with service(s3_server) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new tab; whatever it complains about in its console fails the test, reports of the policy too."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    yield tab
    context.close()
    assert [] == complaints
