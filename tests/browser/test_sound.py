"""The player where sound is missing: links expire, stems are gone, codecs unknown, a context is held."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from stemline.api.console import data
from stemline.jobs.job import Job
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.testing.client import BUCKET
from stemline.testing.processes import eventually
from tests.browser import samples
from tests.browser.service import Service
from tests.browser.worker import tone, wav

pytestmark = pytest.mark.slow

#: What the browser does not know of sound; a file of AMR begins so.
AMR = b"#!AMR\n" + bytes(range(256)) * 20


def played(running: Service, key: str, *, seconds: float = 3, **changes: Any) -> Job:
    """A job that has ended, in WAV."""
    running.s3.put_object(Bucket=BUCKET, Key=key, Body=wav(tone(seconds)))
    store = running.server.store
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav"))
    (job,) = store.jobs.create([samples.spec(0, input_object=key, separate=separate, **changes)])
    eventually(lambda: store.jobs.find(job.id).result is not None, 180, "the end of the job")
    return store.jobs.find(job.id)


def play(page: Page, running: Service, job: Job) -> Any:
    page.goto(running.link(f"?view=job&job={job.id}"))
    page.get_by_role("button", name="Play", exact=True).click()
    player = page.locator(".player")
    expect(player).to_have_attribute("data-loaded", "true")
    return player


def test_links_that_expire(page: Page, running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is open for longer than links are valid has new ones, and where it slept asks for them."""
    monkeypatch.setattr(data, "_LINK_S", 4)
    job = played(running, "in/expire.wav")
    page.goto(running.link(f"?view=job&job={job.id}"))
    link = page.get_by_role("link", name="Download Voice")
    before = link.get_attribute("href")
    page.wait_for_timeout(5000)
    href = link.get_attribute("href")
    assert before != href
    assert page.request.get(href).ok
    # A page that sleeps asks for nothing.
    page.evaluate("for (let i = 0; i < 10_000; i += 1) clearInterval(i)")
    page.wait_for_timeout(5000)
    assert 403 == page.request.get(link.get_attribute("href")).status
    with page.expect_download() as saved:
        link.click()
    assert saved.value.path().read_bytes()[:4] == b"RIFF"
    page.wait_for_timeout(5000)
    with page.expect_download() as zipped:
        page.get_by_role("button", name="All as zip").click()
    assert "expire.zip" == zipped.value.suggested_filename
    page.wait_for_timeout(5000)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert "view=job" in page.url


@pytest.mark.parametrize(
    ("status", "said"), [(404, "not in the bucket any more"), (403, "refused"), (0, "does not answer")]
)
def test_a_stem_that_cannot_be_had(page: Page, running: Service, status: int, said: str) -> None:
    """One stem that is gone, refused or not answered stops no other; the player and the zip name it."""
    job = played(running, f"in/lost {status}.wav")
    (voice,) = (file.key for file in job.result.files if file.track == "AuObject")

    def refuse(route: Route) -> None:
        route.fulfill(
            status=status, headers={"Access-Control-Allow-Origin": "*"}
        ) if status else route.abort()

    page.route(re.compile(re.escape(voice)), refuse)
    player = play(page, running, job)
    expect(player).to_contain_text("Not played: Voice.")
    expect(player).to_contain_text(said)
    expect(player).not_to_contain_text("Not played: Background")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    with page.expect_download():
        page.get_by_role("button", name="All as zip").click()
    expect(page.get_by_role("alert")).to_contain_text("1 file is missing in the zip. Voice:")
    page.unroute(re.compile(re.escape(voice)))
    page.get_by_role("button", name="Load it again").click()
    expect(player).not_to_contain_text("Not played")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("Mix",), "What you hear is the stems, without the mix."),
        (("AuObject", "Object"), "What you hear is the mix as it was uploaded."),
    ],
)
def test_what_no_browser_decodes(page: Page, running: Service, lost: tuple[str, ...], said: str) -> None:
    """A source or stems in AMR are named; what is heard instead is said, and is heard."""
    job = played(running, f"in/amr {len(lost)}.wav")
    keys = {"Mix": job.spec.input_object, **{file.track: file.key for file in job.result.files}}
    for name in lost:
        running.s3.put_object(Bucket=BUCKET, Key=keys[name], Body=AMR)
    player = play(page, running, job)
    expect(player).to_contain_text(said)
    expect(player).to_contain_text("This browser cannot decode it")
    for name in keys:
        silent = re.compile("silent")
        track = page.locator(f"[data-track={name}]")
        if name in lost or (name == "Mix") != (lost == ("AuObject", "Object")):
            expect(track).to_have_class(silent)
        else:
            expect(track).not_to_have_class(silent)
    expect(page.get_by_role("button", name="Load it again")).to_have_count(0)


def test_a_context_that_the_browser_holds(page: Page, running: Service) -> None:
    """A context that stands still is said, its clock stands too, and Play lets it go on from there."""
    page.add_init_script(
        "const Real = AudioContext; window.made = [];"
        "window.AudioContext = class extends Real {"
        " constructor(...given) { super(...given); made.push(this); } };"
    )
    play(page, running, played(running, "in/held.wav", seconds=60))
    pause = page.get_by_role("button", name="Pause", exact=True)
    expect(pause).to_be_visible()
    page.evaluate("made[0].suspend()")
    expect(page.get_by_role("status").filter(has_text="The browser holds the sound back")).to_be_visible()
    before = page.locator(".clock").inner_text()
    page.wait_for_timeout(700)
    assert before == page.locator(".clock").inner_text()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(pause).to_be_visible()
    expect(page.locator(".clock")).not_to_have_text(before)
    expect(page.get_by_text("holds the sound back")).to_have_count(0)
