"""What takes long of the page's truth: the numbers of 50 jobs, what a screen reader is given, and memory."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import Any

from playwright.sync_api import Browser, Page, expect

from stemline.jobs.states import WAITING, State
from stemline.jobs.store import JobFilter
from stemline.testing.api_server import TENANT
from tests.browser.service import Service
from tests.browser.thorough import full, note, opened

__all__ = ["full"]

#: Roles that need a name to be distinguished.
NAMED = {
    "button", "link", "textbox", "searchbox", "combobox", "checkbox", "slider", "spinbutton", "progressbar",
    "table", "image", "img", "region", "navigation", "dialog", "timer", "Date", "heading",
}  # fmt: skip


def tree_of(page: Page) -> list[dict[str, Any]]:
    """The accessibility tree as the browser gives it to a screen reader: role, name, level of each node."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    found = []
    for node in nodes:
        if node.get("ignored"):
            continue
        properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
        role, name = (node.get(key, {}).get("value", "") for key in ("role", "name"))
        found.append({"role": role, "name": name.strip(), "level": properties.get("level"), **properties})
    return found


def test_what_a_screen_reader_is_given(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """Everything that needs a name has one, headings go down one by one, one region is live for each kind."""
    started, views = full
    assert len(views) > 8
    for name, query in views.items():
        for width in (360, 1440):
            page = opened(browser, started, query, width, "light")
            if name == "job":
                page.get_by_role("button", name="Play", exact=True).click()
                expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
            tree = tree_of(page)
            nameless = [each for each in tree if each["role"] in NAMED and not each["name"]]
            assert [] == nameless, (name, nameless)
            levels = [each["level"] for each in tree if each["role"] == "heading"]
            assert 1 == levels[0], (name, levels)
            assert 1 == levels.count(1), (name, levels)
            assert all(after <= before + 1 for before, after in pairwise(levels)), name
            roles = [each["role"] for each in tree]
            assert 1 == roles.count("main") == roles.count("navigation") == roles.count("banner"), name
            # Buttons that do the same to different things have different names.
            switches = [each["name"] for each in tree if each["role"] in {"slider", "checkbox"}]
            assert len(switches) == len(set(switches)), (name, switches)
            page.context.close()


def shown(page: Page, label: str) -> str:
    """A fact of the page of a job."""
    fact = page.locator("dl.facts dt", has_text=re.compile(f"^{label}$")).first
    return fact.locator("xpath=following-sibling::dd[1]").inner_text() if fact.count() else ""


def test_numbers_are_those_of_the_store(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """For 50 random jobs every number of row and page is the store's; so are counts of states and queues."""
    started, views = full
    store = started.server.store
    page = opened(browser, started, views["jobs"], 1440, "light", timezone_id="UTC")
    jobs = store.jobs.browse(TENANT, None, offset=0, size=200).items
    states = store.statistics.of_tenant(TENANT).states
    for name, counted in (
        ("Running", {State.RUNNING}),
        ("Waiting", WAITING),
        ("Failed", {State.FAILED}),
    ):
        count = sum(number for state, number in states.items() if state in counted)
        expect(page.get_by_role("button", name=f"{name} {count}", exact=True)).to_be_visible()
    chosen = random.Random(17).sample(jobs, 50)
    assert len({job.state for job in chosen}) >= 4
    for job in chosen:
        page.goto(f"{started.url}?view=job&job={job.id}")
        expect(page.get_by_text(job.id).first).to_be_visible()
        assert job.spec.input_object == shown(page, "Source")
        assert str(job.spec.level) == shown(page, "Level")
        for label, at in (("Submitted", job.created), ("Started", job.started), ("Ended", job.ended)):
            wanted = page.evaluate(
                "(at) => at && new Date(at / 1000).toLocaleString('en-GB', "
                "{ dateStyle: 'medium', timeStyle: 'medium' })",
                at,
            )
            assert (wanted or "") == shown(page, label), (label, job.id)
        if job.result is not None:
            length = float(job.result.media_info["Format"]["Duration"])
            minutes, seconds = divmod(int(length), 60)
            wanted = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
            assert wanted == shown(page, "Length")
            ran = (job.ended - job.started) / 1e6
            assert f"{length / ran:.1f}" == shown(page, "Real-time factor").removeprefix(
                "\N{MULTIPLICATION SIGN} "
            )
            table = page.get_by_role("region", name="Measured")
            for file in job.result.files:
                cells = f"{file.levels.peak_db:.2f} dBFS", f"{file.levels.loudness_lufs:.2f} LUFS"
                for cell in (*cells, str(file.levels.clipped)):
                    expect(table).to_contain_text(cell)
    page.goto(f"{started.url}?view=queues")
    for load in store.statistics.of_tenant(TENANT).queues:
        card = page.locator(f"[data-queue='{load.id}']")
        waiting = store.jobs.search(TENANT, JobFilter(states=frozenset({State.SUBMITTED}), size=100)).items
        numbers = card.locator("b.number")
        expect(numbers.nth(0)).to_have_text(str(sum(load.waiting)))
        assert sum(load.waiting) == len([job for job in waiting if job.spec.queue_id == load.id])
        expect(numbers.nth(1)).to_have_text(str(load.running))
    page.context.close()


def test_memory_stays_flat(browser: Browser, full: tuple[Service, dict[str, str]]) -> None:
    """Opening and playing jobs one after the other leaves nothing behind: heap, nodes, listeners."""
    started, views = full
    page = opened(browser, started, views["jobs"], 1280, "light")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    jobs = [job.id for job in started.server.store.jobs.browse(TENANT, None, offset=0, size=100).items]

    def measured() -> dict[str, float]:
        for _ in range(3):
            session.send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(300)
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return {key: metrics[key] for key in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}

    def visit(query: str, *, plays: bool) -> None:
        page.evaluate(
            "(to) => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }",
            f"/console{query}",
        )
        expect(page.locator("dl.facts")).to_be_visible()
        if plays:
            page.get_by_role("button", name="Play", exact=True).click()
            expect(page.locator(".player")).to_have_attribute("data-loaded", "true")
            page.get_by_role("button", name="Spectrogram of Mix").click()
        page.get_by_role("link", name="Jobs").click()
        expect(page.locator(".row[data-job]").first).to_be_visible()

    def round_of(some: list[str], times: int) -> None:
        for job in some:
            visit(f"?view=job&job={job}", plays=False)
        for _ in range(times):
            visit(views["job"], plays=True)

    round_of(jobs[:10], 3)
    before = measured()
    round_of(jobs, 10)
    after = measured()
    note(f"memory after 100 jobs and 10 songs more: {before} {after}")
    assert after["JSHeapUsedSize"] - before["JSHeapUsedSize"] < 3_000_000
    assert after["Nodes"] - before["Nodes"] < 1500
    assert after["JSEventListeners"] - before["JSEventListeners"] < 150
    page.context.close()
