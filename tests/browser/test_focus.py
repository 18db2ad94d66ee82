"""The focus of the keyboard, and what is selected, when what they are on changes or goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from stemline.deploy.local.servers import SeaweedServer
from stemline.jobs.store import delivery_id
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, api_settings
from tests.browser import samples
from tests.browser.service import Service, service

pytestmark = pytest.mark.slow

#: What can be pressed in a view, but for what saves a file or opens a system's window.
PRESSED = """() => [...document.querySelectorAll("main button, main summary")]
  .filter((each) => !each.disabled && each.checkVisibility() && !/CSV|↓|Choose files/.test(each.innerText))"""
LABELS = f"() => ({PRESSED})().map((each) => each.innerText.trim() || each.ariaLabel)"
FOCUS = f"(i) => ({PRESSED})()[i]?.focus()"
STEADY = """() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(
  document.activeElement === document.body ? 'lost' : 'kept')), 150))"""


@pytest.fixture(scope="module")
def full(s3_server: SeaweedServer) -> Iterator[tuple[Service, list[str]]]:
    """A service without a worker that has something in every view, and the queries of the views."""
    store = InMemoryStore(store_options(api_settings()))
    batch = samples.add_batches(store)
    samples.fill(store, 30)
    jobs = store.jobs.browse(TENANT, None, offset=0, size=99).items
    shown = {str(job.state): job.id for job in jobs}
    samples.give_up(store, delivery_id(shown["Failed"]))
    samples.add_templates(store)
    store.jobs.cancel(TENANT, [shown.pop("Submitted")])
    views = ["", "?state=Failed", "?text=order", "?view=new", "?view=batches", f"?view=batches&batch={batch}"]
    views += [f"?view=job&job={each}" for each in shown.values()]
    views += [f"?view={each}" for each in ("queues", "templates", "deliveries", "workers", "usage")]
    with service(s3_server, works=False, store=store) as started, samples.workers(store):
        yield started, views


@pytest.mark.thorough
def test_the_focus_outlives_every_button(page: Page, full: tuple[Service, list[str]]) -> None:
    """Whatever button is pressed by hand of the keyboard, with the dialog that it opens, keeps a focus."""
    started, views = full
    page.goto(started.link())
    expect(page.get_by_role("link", name="New job").first).to_be_visible()
    pressed = 0
    for view in views:
        page.goto(started.url + view)
        expect(page.get_by_role("heading", level=1).first).to_be_attached()
        expect(page.locator("main .card, main .rows, main .empty").first).to_be_visible()
        for unfinished in ("Working …", "…"):
            expect(page.get_by_text(unfinished, exact=True)).to_have_count(0)
        labels = page.evaluate(LABELS)
        for number, label in enumerate(labels):
            page.evaluate(FOCUS, number)
            page.keyboard.press("Enter")
            pressed += 1
            assert "kept" == page.evaluate(STEADY), (view, label)
            dialog = page.get_by_role("dialog")
            if dialog.count():
                yes = dialog.locator("button.danger, button.primary")
                yes.press("Enter")
                expect(page.get_by_text("Working …")).to_have_count(0)
                if dialog.count():  # what it asks for is missing
                    page.keyboard.press("Escape")
                expect(dialog).to_have_count(0)
                assert "kept" == page.evaluate(STEADY), (view, label, "after its dialog")
    assert pressed > 60


def test_the_focus_follows_a_row(page: Page, full: tuple[Service, list[str]]) -> None:
    """A box stays that of its job when a new one comes before it; scrolled away, the list has the focus."""
    started, _ = full
    store = started.server.store
    (job,) = store.jobs.create([samples.spec(1)])
    page.goto(started.link())
    box = page.locator(f".row[data-job={job.id}]").get_by_role("checkbox")
    box.focus()
    store.jobs.create([samples.spec(2), samples.spec(3)])
    expect(page.locator(f".row[data-job={job.id}]")).to_have_attribute("aria-rowindex", "4")
    expect(box).to_be_focused()
    page.evaluate("document.querySelector('.rows').scrollTop = 1e6")
    expect(box).to_have_count(0)
    expect(page.locator(".rows")).to_be_focused()


def test_what_leaves_the_list_is_not_selected(page: Page, full: tuple[Service, list[str]]) -> None:
    """Jobs that leave the list are not selected: in another state, out of sight too, or by other filters."""
    started, _ = full
    store = started.server.store
    first, second, third = store.jobs.create([samples.spec(n, level=2) for n in range(3)])
    page.goto(started.link("?state=Submitted"))
    for job in (first, second, third):
        page.locator(f".row[data-job={job.id}]").get_by_role("checkbox").check()
    expect(page.get_by_text("3 selected")).to_be_visible()
    store.jobs.cancel(TENANT, [first.id])
    expect(page.get_by_text("2 selected")).to_be_visible()
    store.jobs.create([samples.spec(n) for n in range(40)])  # the others are out of sight
    expect(page.locator(f".row[data-job={second.id}]")).to_have_count(0)
    store.jobs.cancel(TENANT, [second.id])
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Cancel the selected jobs").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 job will be cancelled")
    page.get_by_role("button", name="No, go back").click()
    page.get_by_role("button", name="All 1").click()
    expect(page.get_by_text("selected")).to_have_count(0)
