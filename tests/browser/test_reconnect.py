"""A page that stays open while keys, the service, or the way to it change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from stemline.deploy.local.servers import SeaweedServer
from stemline.jobs.store import Store
from stemline.runtime.settings import BucketAccess
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, ApiServer, api_settings
from stemline.testing.client import SECRET_ID
from stemline.testing.processes import eventually
from tests.browser import samples
from tests.browser.relay import Relay
from tests.browser.service import Service

pytestmark = pytest.mark.slow

SEEN = "() => [...document.querySelectorAll('.row[data-job]')].map((row) => row.dataset.job)"


@pytest.fixture
def relayed(s3_server: SeaweedServer, tmp_path: Path) -> Iterator[tuple[Service, Relay, Store, Any]]:
    """A service behind a relay, its store, and what starts it again; keys are in a file."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([{"secret_id": SECRET_ID, "secret_key": "first"}]))
    access = BucketAccess(
        endpoint_url=s3_server.endpoint_url, access_key=s3_server.access_key, secret_key=s3_server.secret_key
    )
    settings = api_settings(buckets={"*": access}, credentials=(), credentials_file=keys)
    store = InMemoryStore(store_options(settings))
    with ApiServer(settings, store) as server, Relay(server.port) as relay:
        service = Service(server, s3_server.client())
        object.__setattr__(server, "port", relay.port)
        yield service, relay, store, lambda: ApiServer(settings, store)


def shown_once(page: Page, store: Store) -> None:
    """Each job of the store is in the list, in its place, once."""
    wanted = [job.id for job in store.jobs.browse(TENANT, None, offset=0, size=99).items]
    expect(page.locator(".rows")).to_have_attribute("aria-rowcount", str(len(wanted)))
    eventually(lambda: page.evaluate(SEEN) == wanted, 60, "the list of all jobs")


def test_a_connection_that_is_cut(page: Page, relayed: tuple[Service, Relay, Store, Any]) -> None:
    """List and open job catch up without a reload, whenever they are cut; no row is lost or twice."""
    service, relay, store, again = relayed
    store.jobs.create([samples.spec(n) for n in range(3)])
    page.goto(service.link(secret_key="first"))
    shown_once(page, store)
    for number in range(12):
        store.jobs.create([samples.spec(number)])
        page.wait_for_timeout(40 * number)
        relay.cut()
    shown_once(page, store)
    job = store.attempts.claim("worker", (2, 1, 0))
    page.locator(f".row[data-job={job.id}]").get_by_role("link").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Running")
    with again() as other:
        relay.to = 0
        relay.cut()
        expect(page.get_by_role("alert").filter(has_text="The service does not answer")).to_be_visible()
        samples.succeed(store, job)
        store.jobs.create([samples.spec(7)])
        relay.to = other.port
        expect(heading).to_contain_text("Success")
        expect(page.get_by_role("alert")).to_have_count(0)
        page.get_by_role("link", name="Jobs").click()
        shown_once(page, store)
        relay.cut()


@pytest.mark.parametrize("change", ["revoked", "rotated"])
def test_keys_that_are_taken_away(
    page: Page, relayed: tuple[Service, Relay, Store, Any], tmp_path: Path, change: str
) -> None:
    """A key that was revoked or changed is said; who signs in again sees the same view."""
    service, _, store, _ = relayed
    store.jobs.create([samples.spec(1)])
    page.goto(service.link("?state=Submitted", secret_key="first"))
    expect(page.locator(".row[data-job]")).to_have_count(1)
    name = SECRET_ID if change == "rotated" else "NEXT"
    (tmp_path / "keys.json").write_text(json.dumps([{"secret_id": name, "secret_key": "second"}]))
    said = "does not know this SecretId" if change == "revoked" else "does not fit"
    expect(page.get_by_role("alert").first).to_contain_text(said, timeout=60_000)
    page.get_by_role("button", name="Sign in again").click()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_label("SecretId")).to_be_focused()
    page.get_by_label("SecretId").fill(name)
    page.get_by_label("SecretKey").fill("second")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator(".row[data-job]")).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert page.url.endswith("?state=Submitted")
