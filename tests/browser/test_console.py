"""The console page in a real browser, against the real service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from stemline.client import Client
from stemline.client.target import target_of_stack
from tests.integration.test_stack import music, s3_for


@pytest.fixture
def client(where: dict[str, Any]) -> Iterator[Client]:
    with Client(target_of_stack(where)) as started:
        yield started


@pytest.fixture
def console(page: Page, where: dict[str, Any]) -> Page:
    """The page with the right keys entered."""
    page.goto(f"{where['api']}/console")
    page.get_by_label("SecretId").fill(where["secret_id"])
    page.get_by_label("SecretKey").fill(where["secret_key"])
    page.get_by_role("button", name="Show the jobs").click()
    expect(page.get_by_role("region", name="Queues")).to_contain_text("Active")
    expect(page.get_by_label("SecretKey")).to_be_hidden()
    return page


def submit(client: Client, where: dict[str, Any], key: str, *, wait: bool = True) -> str:
    stems = {stem: f"console/{key}/{stem}.mp3" for stem in ("voice", "background")}
    job_id = client.submit(key, output=stems, codec="mp3", callback="no").id
    if wait:
        client.wait(job_id, timeout_s=60, check=False)
    return job_id


def test_strangers_see_nothing(page: Page, where: dict[str, Any]) -> None:
    """A wrong key is reported, and shows no jobs."""
    page.goto(f"{where['api']}/console")
    page.get_by_label("SecretId").fill(where["secret_id"])
    page.get_by_label("SecretKey").fill("not the key")
    page.get_by_role("button", name="Show the jobs").click()
    expect(page.get_by_role("alert").first).to_contain_text("SignatureDoesNotMatch")
    expect(page.get_by_role("region", name="Jobs")).to_be_hidden()


def test_a_job_shows_its_stems(console: Page, client: Client, where: dict[str, Any]) -> None:
    """A finished job shows when it ran, and each stem with its waveform and a player that plays."""
    s3_for(where).put_object(Bucket=where["bucket"], Key="in/<b>song</b> é.wav", Body=music(3))
    job_id = submit(client, where, "in/<b>song</b> é.wav")
    card = console.locator(f"details[data-job={job_id}]")
    expect(card).to_contain_text("Success")
    expect(card).to_contain_text("in/<b>song</b> é.wav")
    card.locator("summary").click()
    expect(card.locator(".times")).to_contain_text("waited")
    expect(card.locator("canvas[data-drawn=yes]")).to_have_count(2)
    played = card.locator("audio").first.evaluate(
        "async (audio) => { audio.muted = true; await audio.play(); return audio.duration; }"
    )
    assert played == pytest.approx(3, abs=0.2)
    assert where["flower"]["url"] in (card.get_by_role("link", name="In Flower").get_attribute("href") or "")


def test_a_failed_job_says_why(console: Page, client: Client, where: dict[str, Any]) -> None:
    """A failed job shows its code and message."""
    job_id = submit(client, where, "in/none.wav")
    card = console.locator(f"details[data-job={job_id}]")
    expect(card).to_contain_text("Failed")
    card.locator("summary").click()
    expect(card.locator(".problem")).to_contain_text("ResourceNotFound")


def test_the_queue_is_paused_and_resumed(console: Page, client: Client, where: dict[str, Any]) -> None:
    """Pause holds a new job back, Cancel ends it, Resume lets the next run; the browser signs it all."""
    s3_for(where).put_object(Bucket=where["bucket"], Key="in/song.wav", Body=music())
    console.get_by_role("button", name="Pause").click()
    expect(console.get_by_role("region", name="Queues")).to_contain_text("Paused")
    job_id = submit(client, where, "in/song.wav", wait=False)
    card = console.locator(f"details[data-job={job_id}]")
    expect(card.locator(".state")).to_have_text("Pause")
    card.locator("summary").click()
    card.get_by_role("button", name="Cancel").click()
    expect(card.locator(".state")).to_have_text("Cancel")
    second = submit(client, where, "in/song.wav", wait=False)
    console.get_by_role("button", name="Resume").click()
    expect(console.get_by_role("region", name="Queues")).to_contain_text("Active")
    expect(console.locator(f"details[data-job={second}] .state")).to_have_text("Success", timeout=60_000)


def test_the_keys_are_forgotten(console: Page) -> None:
    """The keys outlive a reload of the tab and not the button that forgets them."""
    console.reload()
    expect(console.get_by_role("region", name="Queues")).to_contain_text("Active")
    console.get_by_role("button", name="Forget the keys").click()
    expect(console.get_by_label("SecretKey")).to_be_visible()
    assert console.evaluate("sessionStorage.length") == 0


def test_the_page_runs_only_its_own_code(where: dict[str, Any]) -> None:
    """The page may run its own script alone and talk to its own servers alone."""
    answer = httpx.get(f"{where['api']}/console", trust_env=False)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert f"connect-src 'self' {where['s3']['endpoint_url']};" in policy


def test_details_are_for_those_who_may(where: dict[str, Any]) -> None:
    """Links to stems are given to signed requests alone."""
    answer = httpx.get(f"{where['api']}/console/jobs/j{'0' * 32}", trust_env=False)
    assert 403 == answer.status_code
