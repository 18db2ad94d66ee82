"""A page of another site, in a real browser that can reach an API without signatures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest
from playwright.sync_api import Browser

from stemline.jobs.store import JobFilter
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, ApiServer, api_settings
from stemline.testing.client import submission

pytestmark = pytest.mark.slow

#: Sends a body as any page may without asking first, and returns what the browser says.
SEND: Final = """([url, body]) => fetch(url, {
  method: "POST", body, mode: "no-cors", headers: {"Content-Type": "text/plain"}
}).then((answer) => answer.type + " " + answer.status, (error) => error.message)"""
#: Sends a form into a frame of the page; resolves when its answer is loaded.
FORM: Final = """([url, body]) => new Promise((done) => {
  const [before, after] = body.split("=");
  const frame = Object.assign(document.createElement("iframe"), {name: "answer"});
  const form = Object.assign(document.createElement("form"), {
    action: url, method: "POST", enctype: "text/plain", target: "answer"
  });
  form.append(Object.assign(document.createElement("input"), {name: before, value: after}));
  document.body.append(frame, form);
  frame.onload = () => done();
  form.submit();
})"""


class Empty(BaseHTTPRequestHandler):
    """Answers with an empty page."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of another site, which is on another host to a browser."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API that asks for no signature."""
    settings = api_settings(anonymous_access=True)
    with ApiServer(settings, InMemoryStore(store_options(settings))) as started:
        yield started


def test_a_page_of_another_site_posts_no_job(browser: Browser, server: ApiServer, elsewhere: str) -> None:
    """Neither a form nor a script of another site submits; the same request of the API's own page does."""
    url = f"http://127.0.0.1:{server.port}"
    body = submission().replace("<Request>", '<Request a="b">', 1)
    page = browser.new_page()
    page.goto(elsewhere)
    assert "opaque 0" == page.evaluate(SEND, [f"{url}/jobs", body])
    page.evaluate(FORM, [f"{url}/jobs", body])
    assert [] == server.store.jobs.search(TENANT, JobFilter()).items
    page.goto(f"{url}/console")
    assert "basic 200" == page.evaluate(SEND, [f"{url}/jobs", body])
    assert 1 == len(server.store.jobs.search(TENANT, JobFilter()).items)
    page.close()
