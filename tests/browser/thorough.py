"""What takes longer than make test has time for: make console-test.

Accessibility of every view, the keyboard, pictures, 100,000 jobs, the speed of the first view.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from stemline.deploy.local.servers import SeaweedServer, ValkeyServer
from stemline.jobs.history import attempts_of
from stemline.jobs.separation import AudioMode
from stemline.jobs.store import delivery_id
from stemline.runtime.store import open_store, store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, ApiServer, api_settings
from stemline.testing.client import BUCKET
from stemline.testing.processes import eventually
from tests.browser import samples
from tests.browser.service import Service, service
from tests.browser.test_console import HIDDEN
from tests.browser.worker import tone, wav
from tests.integration.api.test_job_lists import CLONE
from tests.paths import REPOSITORY

PICTURES = REPOSITORY / "build" / "console"
AXE = REPOSITORY / "tests" / "console" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (360, 768, 1440)
Scheme: TypeAlias = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="module")
def full(s3_server: SeaweedServer) -> Iterator[tuple[Service, dict[str, str]]]:
    """A service with something in every view, and the views by their names."""
    clock = samples.EarlierClock(3600)
    store = InMemoryStore(store_options(api_settings()), clock=clock)
    with service(s3_server, flower_url="http://127.0.0.1:5555", store=store) as started:
        started.s3.put_object(Bucket=BUCKET, Key="in/Night bus.wav", Body=wav(tone(30)))
        (played,) = store.jobs.create(
            [samples.spec(0, AudioMode.MUSIC_MODE, input_object="in/Night bus.wav", level=2)]
        )
        eventually(lambda: store.jobs.find(played.id).ended, 180, "the end of the job")
    batch = samples.add_batches(store)
    samples.fill(store, 60, clock)
    clock.advance(3600)
    jobs = store.jobs.browse(TENANT, None, offset=0, size=60).items
    failed = next(job for job in jobs if job.state == "Failed")
    tried = next(job for job in jobs if len(attempts_of(job, store.jobs.history(job.id))) > 1)
    samples.give_up(store, delivery_id(failed.id))
    samples.add_templates(store)
    unused = service(s3_server, works=False, flower_url="http://127.0.0.1:5555", store=store)
    with unused as started, samples.workers(store):
        yield (
            started,
            {
                "jobs": "",
                "failed": "?state=Failed",
                "job": f"?view=job&job={played.id}",
                "failed-job": f"?view=job&job={failed.id}",
                "tried-job": f"?view=job&job={tried.id}",
                "new": "?view=new",
                "batches": "?view=batches",
                "batch": f"?view=batches&batch={batch}",
                "queues": "?view=queues",
                "templates": "?view=templates",
                "deliveries": "?view=deliveries",
                "workers": "?view=workers",
                "usage": "?view=usage",
            },
        )


def note(figure: str) -> None:
    """Keep a figure beside the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (PICTURES / "figures.txt").open("a") as file:
        file.write(f"{figure}\n")


def opened(
    browser: Browser, started: Service, query: str, width: int, scheme: Scheme, **options: Any
) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB", **options
    )
    page = context.new_page()
    page.goto(started.link(query))
    expect(page.get_by_role("heading", level=1).first).to_be_attached()
    if "view=job" in query and page.locator(".player").count():
        expect(page.locator(".player canvas[data-drawn]").first).to_be_attached()
    page.wait_for_timeout(400)
    return page


def violations(page: Page) -> list[str]:
    """What axe finds on a page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_view(browser: Browser, full: tuple[Service, dict[str, str]], scheme: Scheme) -> None:
    """Every view at every width scrolls down alone, and axe finds nothing; look at the pictures too."""
    started, views = full
    assert len(views) > 8
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, query in views.items():
        for width in WIDTHS:
            page = opened(browser, started, query, width, scheme, bypass_csp=True)
            if name == "job":
                page.get_by_role("button", name="Play", exact=True).click()
                expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
                page.get_by_role("button", name="Solo Voice").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert [] == page.evaluate(HIDDEN), (name, width)
            page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=width < 1440)
            if width != 768:
                assert [] == violations(page), (name, width)
            page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dialogs(browser: Browser, full: tuple[Service, dict[str, str]], scheme: Scheme) -> None:
    """Axe finds nothing in a dialog, nor before signing in."""
    started, views = full
    page = opened(browser, started, views["queues"], 1280, scheme, bypass_csp=True)
    page.get_by_role("button", name="Edit").click()
    assert [] == violations(page), "edit a queue"
    page.context.close()
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(started.url)
    expect(page.get_by_label("SecretKey")).to_be_visible()
    assert [] == violations(page), "signing in"
    context.close()


COLOUR = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 250) return data.slice(i, i + 3).join();
}"""


def test_pictures_take_the_colours_of_the_page(
    browser: Browser, full: tuple[Service, dict[str, str]]
) -> None:
    """Waveforms and sparklines are drawn anew in the colours that the button of the page chooses."""
    started, views = full
    for view, drawn in (("job", ".player canvas[data-drawn]"), ("queues", "canvas.spark")):
        page = opened(browser, started, views[view], 1280, "light")
        canvas = page.locator(drawn).first
        expect(canvas).to_be_visible()
        page.wait_for_function(f"(canvas) => ({COLOUR})(canvas)", arg=canvas.element_handle())
        before = canvas.evaluate(COLOUR)
        page.get_by_role("button", name="Dark colours").click()
        page.wait_for_function(
            f"([canvas, before]) => ({COLOUR})(canvas) != before", arg=[canvas.element_handle(), before]
        )
        page.context.close()


REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility()
    && !each.closest("details:not([open]) > :not(summary)"))
  .map((each, i) => { each.dataset.reach = i; return i; })"""
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle != 'none'"
MISSED = """(numbers) => numbers.map((i) =>
  document.querySelector(`[data-reach='${i}']`)?.outerHTML.slice(0, 120))"""
LOADED = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
  .filter((each) => new URL(each.name).pathname.match(/^.console($|.static)/))
  .map((each) => [each.decodedBodySize, each.transferSize])"""
JUMP = """(share) => {
  const area = document.querySelector(".rows");
  area.scrollTop = area.scrollHeight * share;
}"""
SEEN = """(wanted) => [...document.querySelectorAll(".row[data-job]")].some((row) =>
  Math.abs(row.getAttribute("aria-rowindex") - wanted) < 60)"""
#: Scroll for 120 frames; the time that nine of ten frames take at most, ms.
SCROLL = """() => new Promise((done) => {
  const area = document.querySelector(".rows"), spans = [];
  let before = performance.now(), left = 120;
  const step = (now) => {
    spans.push(now - before);
    before = now;
    area.scrollTop += 400;
    left -= 1;
    if (left) requestAnimationFrame(step);
    else done(spans.sort((a, b) => a - b)[Math.floor(spans.length * 0.9)]);
  };
  requestAnimationFrame(step);
})"""


def test_the_keyboard_reaches_everything(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """With Tab alone every link, button and field of each view has the focus once, and shows it."""
    started, views = full
    assert len(views) > 8
    for name, query in views.items():
        page = opened(browser, started, query, 1280, "light")
        page.evaluate("document.body.tabIndex = -1; document.body.focus()")
        wanted = set(page.evaluate(REACHABLE))
        assert len(wanted) > 8
        reached = set()
        for _ in range(len(wanted) + 25):
            page.keyboard.press("Tab")
            number = page.evaluate("document.activeElement?.dataset?.reach")
            if number is not None:
                reached.add(int(number))
                assert page.evaluate(OUTLINE), (name, page.evaluate("document.activeElement.outerHTML"))
        missed = page.evaluate(MISSED, sorted(wanted - reached))
        assert [] == missed, name
        page.context.close()


def test_the_first_view(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """From an empty cache the list is there within a second, with less than 150 kB, not compressed."""
    started, _ = full
    times = []
    for _ in range(5):
        context = browser.new_context()
        page = context.new_page()
        began = time.perf_counter()
        page.goto(started.link(), wait_until="commit")
        page.locator(".row[data-job]").first.wait_for()
        times.append(time.perf_counter() - began)
        sizes = page.evaluate(LOADED)
        context.close()
    whole, sent = (sum(each) for each in zip(*sizes, strict=True))
    note(
        f"first view: {min(times):.2f} to {max(times):.2f} s, {whole} bytes, {sent} sent, {len(sizes)} files"
    )
    assert whole < 150_000
    assert min(times) < 1


def test_100_000_jobs(browser: Browser, valkey: redis.Redis, valkey_server: ValkeyServer) -> None:
    """Any place among 100,000 jobs is shown soon, with few rows in the page; a search goes through all."""
    settings = api_settings(redis_url=valkey_server.url)
    store = open_store(settings)
    (first,) = store.jobs.create([samples.spec(1, user_data="the first")])
    index = f"stemline:index:{TENANT}:all"
    for start in range(1, 100_000, 9_999):
        valkey.eval(
            CLONE, 2, f"stemline:job:{first.id}", index, "stemline", start, min(start + 9_998, 99_999)
        )
    store.jobs.create([samples.spec(2, user_data="the latest")])
    with ApiServer(settings, store) as server:
        started = Service(server, None)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(started.link())
        expect(page.locator(".rows")).to_have_attribute("aria-rowcount", "100001")
        times = []
        for share in (0.5, 1, 0.25, 0.75, 0):
            began = time.perf_counter()
            page.evaluate(JUMP, share)
            wanted = round(share * 100_000)
            page.wait_for_function(SEEN, arg=wanted)
            times.append(time.perf_counter() - began)
            assert page.locator(".row").count() < 60
        note(f"100,000 jobs: a jump takes {min(times):.2f} to {max(times):.2f} s")
        frames = page.evaluate(SCROLL)
        note(f"scrolling 100,000 jobs: nine of ten frames within {frames:.0f} ms")
        page.get_by_label("Id, part of a key, or user data").fill("the latest")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator(".row[data-job]")).to_have_count(1)
        context.close()
