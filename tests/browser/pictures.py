"""The pictures of the console and of Flower in README and docs: make screenshots."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from stemline.client import Client
from stemline.deploy.local.addresses import Addresses
from stemline.testing.processes import eventually
from stemline.testing.receiver import answer, receiving
from tests.browser.service import Service
from tests.browser.thorough import Scheme, full, opened
from tests.browser.worker import tone, wav
from tests.integration.test_stack import s3_for
from tests.paths import REPOSITORY

__all__ = ["full"]

PICTURES = REPOSITORY / "docs" / "images"


@pytest.mark.parametrize(
    ("name", "view", "width", "scheme"),
    [
        ("console-job", "job", 1440, "light"),
        ("console-job-dark", "job", 768, "dark"),
        ("console-job-phone", "job", 360, "light"),
    ],
)
def test_the_player(
    browser: Browser, full: tuple[Service, dict[str, str]], name: str, view: str, width: int, scheme: Scheme
) -> None:
    """The page of a job that has ended shows its stems, which can be played."""
    started, views = full
    page = opened(browser, started, views[view], width, scheme)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
    page.get_by_role("button", name="Solo Voice").click()
    page.wait_for_timeout(3000)
    page.screenshot(path=PICTURES / f"{name}.png")
    page.context.close()


@pytest.mark.parametrize(
    ("name", "view", "width", "scheme"),
    [
        ("console-jobs", "jobs", 1440, "light"),
        ("console-attempts", "tried-job", 768, "light"),
        ("console-workers", "workers", 1440, "dark"),
    ],
)
def test_other_views(
    browser: Browser, full: tuple[Service, dict[str, str]], name: str, view: str, width: int, scheme: Scheme
) -> None:
    """A view shows what its data are."""
    started, views = full
    page = opened(browser, started, views[view], width, scheme)
    expect(page.get_by_role("heading", level=1).first).to_be_attached()
    page.screenshot(path=PICTURES / f"{name}.png")
    page.context.close()


def test_chinese_on_a_phone(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """The list of jobs in Chinese, on a phone."""
    started, views = full
    page = opened(browser, started, views["jobs"], 360, "dark")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("link", name="任务", exact=True)).to_be_visible()
    expect(page.locator(".row .state").filter(has_text="等待中").first).to_be_visible()
    page.screenshot(path=PICTURES / "console-chinese-phone.png")
    page.context.close()


def test_flower(browser: Browser, where: dict[str, Any]) -> None:
    """Flower's list of tasks shows jobs and deliveries of every outcome."""
    stack = Addresses.read(where)
    s3 = s3_for(where)
    for key, body in (
        ("morning.wav", wav(tone(3))),
        ("evening.wav", wav(tone(3))),
        ("notes.txt", b"no sound"),
    ):
        s3.put_object(Bucket=stack.bucket, Key=f"songs/{key}", Body=body)
    with (
        receiving(answer(204), answer(503), answer(410), answer(204)) as receiver,
        Client(stack.target) as client,
    ):
        for key in ("morning.wav", "evening.wav", "notes.txt", "missing.wav"):
            job = client.submit(f"songs/{key}", callback=receiver.url)
            client.wait(job.id, timeout_s=180, check=False)
        eventually(lambda: len(receiver.received) >= 4, 180, "the callbacks")
    context = browser.new_context(
        viewport={"width": 1900, "height": 780},
        http_credentials={"username": stack.flower_user, "password": stack.flower_password},
    )
    page = context.new_page()
    tasks = page.locator("tbody tr")

    def are_shown() -> bool:
        page.goto(f"{stack.flower_url}/tasks", wait_until="networkidle")
        return tasks.count() >= 8

    eventually(are_shown, 180, "the tasks of all jobs and callbacks")
    page.screenshot(path=PICTURES / "flower.png")
    context.close()
