"""Texts of clients, workers and errors that hold HTML and scripts, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from stemline.deploy.local.ports import free_port
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.store import QueueFilter
from stemline.runtime.settings import BucketAccess
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, ApiServer, api_settings
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY

pytestmark = pytest.mark.slow

PAYLOADS = (
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "' onmouseover='window.pwned=1",
    "</script><script>window.pwned=1</script>",
    "javascript:window.pwned=1",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "{{flower}}${window.pwned=1}",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>window.pwned=1</x:script>",
    "]]><script xmlns='http://www.w3.org/1999/xhtml'>window.pwned=1</script>",
)
#: What a link of the page does.
GO = """(query) => {
  history.pushState(null, "", "/console" + query);
  dispatchEvent(new PopStateEvent("popstate"));
}"""
FORBIDDEN = (
    "img, svg, iframe, object, embed, script, [onerror], [onload], [onmouseover], a[href^='javascript']"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API whose store holds the payloads in every text that a client, a worker or an error can set."""
    access = BucketAccess(endpoint_url=f"http://127.0.0.1:{free_port()}", access_key="k", secret_key="s")
    settings = api_settings(buckets={"*": access}, anonymous_access=True)
    store = InMemoryStore(store_options(settings))
    for number, text in enumerate(PAYLOADS):
        output = Output(region=REGION, bucket=BUCKET, au_object=f"out/{text}")
        spec = JobSpec(
            TENANT,
            f"in/{text}",
            VoiceSeparate(AudioMode.IS_AUDIO),
            output,
            user_data=text,
            callback=CallbackRequest(url=f"http://cb.example/?{text}"),
        )
        store.jobs.create([spec])
        job = store.attempts.claim(f"worker {text}", (2, 1, 0))
        assert job is not None
        store.attempts.heartbeat(job.id, job.token, 50, f"device {text}")
        if number % 3 == 0:
            store.attempts.fail(job, f"Code{text}", f"message {text}")
        elif number % 3 == 1:
            store.attempts.succeed(job, Result((OutputFile(Track.VOICE, f"out/{text}", "0" * 32, 1),), {}))
        if (delivery := store.outbox.for_job(job.id)) is not None:
            answer = DeliveryAttempt(1, "500", 2, f"answer {text}")
            store.outbox.record(delivery.id, answer, next_due=None, status="dead")
        store.templates.create(
            TENANT, f"template {text}", VoiceSeparate(AudioMode.IS_AUDIO, model=f"model {text}")
        )
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, name="".join(PAYLOADS))
    with ApiServer(settings, store) as started:
        yield started


@pytest.fixture(scope="module")
def attacked(browser: Browser, server: ApiServer) -> Iterator[tuple[Page, list[str]]]:
    """A tab in which the keys are entered, and the dialogs that were opened in it."""
    context = browser.new_context()
    tab = context.new_page()
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    tab.on("dialog", note)
    tab.goto(f"http://127.0.0.1:{server.port}/console")
    tab.get_by_label("SecretId").fill(SECRET_ID)
    tab.get_by_label("SecretKey").fill(SECRET_KEY)
    tab.get_by_role("button", name="Sign in").click()
    expect(tab.locator(".row[data-job]")).to_have_count(len(PAYLOADS))
    yield tab, dialogs
    context.close()


@pytest.fixture
def tab(attacked: tuple[Page, list[str]]) -> Iterator[Page]:
    """The tab, which may complain in its console: it is attacked. A dialog fails the test."""
    page, dialogs = attacked
    dialogs.clear()
    yield page
    assert dialogs == []


@pytest.fixture
def console(tab: Page, server: ApiServer) -> Page:
    """The console, loaded anew."""
    tab.goto(f"http://127.0.0.1:{server.port}/console")
    expect(tab.locator(".row[data-job]")).to_have_count(len(PAYLOADS))
    return tab


def test_the_console_shows_texts_as_texts(console: Page, server: ApiServer) -> None:
    """Keys, names, codes, messages, workers, devices and callbacks are shown as they are, and run nothing."""
    foreign: list[str] = []
    console.on("request", lambda request: foreign.append(request.url) if "evil" in request.url else None)
    main = console.locator("main")
    for text in PAYLOADS:
        expect(main).to_contain_text(text)
    jobs = server.store.jobs.browse(TENANT, None, offset=0, size=len(PAYLOADS)).items
    assert 7 == sum(server.store.outbox.for_job(job.id) is not None for job in jobs)
    console.goto(f"http://127.0.0.1:{server.port}/console?view=job&job={jobs[0].id}")
    for job in jobs:
        console.evaluate(GO, f"?view=job&job={job.id}")
        text = job.spec.user_data or ""
        answers = [f"answer {text}"] if server.store.outbox.for_job(job.id) else []
        for shown in (*answers, f"in/{text}", f"worker {text}", f"device {text}", job.message):
            expect(main).to_contain_text(shown)
        expect(main.get_by_role("heading", name="Callbacks")).to_be_visible()
        assert 0 == main.locator(FORBIDDEN).count()
    for view in ("queues", "workers", "deliveries", "templates"):
        console.evaluate(GO, f"?view={view}")
        expect(main.get_by_role("heading", level=1, name=view.capitalize())).to_be_visible()
        if view == "queues":
            expect(main).to_contain_text("".join(PAYLOADS))
        if view == "templates":
            for text in PAYLOADS:
                expect(main).to_contain_text(f"template {text}")
                expect(main).to_contain_text(f"model {text}")
        assert 0 == main.locator(FORBIDDEN).count()
    assert console.evaluate("window.pwned") is None
    assert foreign == []


def test_an_address_is_shown_as_text(console: Page, server: ApiServer) -> None:
    """Whatever the address of the page holds, it is a text on the page."""
    for text in PAYLOADS:
        for query in (f"?text={quote(text)}", f"?view=job&job={quote(text)}", f"?view={quote(text)}"):
            console.evaluate(GO, query)
            expect(console.locator("main")).not_to_be_empty()
    console.goto(f"http://127.0.0.1:{server.port}/console?text={quote(''.join(PAYLOADS))}")
    expect(console.locator("main")).not_to_be_empty()
    assert console.evaluate("window.pwned") is None


def test_the_policy_stops_what_a_page_would_let_through(console: Page) -> None:
    """Script, handlers and requests to other servers that get into the page do not run."""
    elsewhere = f"http://127.0.0.1:{free_port()}/"
    refusals = console.evaluate(
        """() => {
            const refusals = [];
            const attempt = (name, action) => {
                try { action(); } catch (error) { refusals.push(name); }
            };
            const box = document.createElement("div");
            attempt("markup", () => { box.innerHTML = "<img src=x onerror='window.pwned=1'>"; });
            const script = document.createElement("script");
            attempt("script", () => { script.textContent = "window.pwned=1"; document.body.append(script); });
            const link = document.createElement("a");
            link.href = "javascript:window.pwned=1";
            document.body.append(box, link);
            link.click();
            return refusals;
        }"""
    )
    assert ["markup", "script"] == refusals
    refused = console.evaluate("(url) => fetch(url).then(() => 'sent', (error) => error.message)", elsewhere)
    assert "Failed to fetch" in refused
    blocked = console.evaluate(
        """(url) => new Promise((done) => {
            document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
            fetch(url).catch(() => 0);
            setTimeout(() => done("none"), 20000);
        })""",
        elsewhere,
    )
    assert "connect-src" == blocked
    assert console.evaluate("window.pwned") is None


@pytest.mark.parametrize(
    "path", ["/jobs/{}", "/{}", "/jobs?tag=VoiceSeparate&size=100&x={}", "/queue?state={}", "/queue"]
)
def test_an_answer_that_is_opened_in_a_browser_runs_nothing(tab: Page, server: ApiServer, path: str) -> None:
    """In answers and errors the client's text is escaped, and no browser takes them for HTML."""
    for text in PAYLOADS:
        url = f"http://127.0.0.1:{server.port}{path.format(quote(text, safe=''))}"
        answer = tab.goto(url)
        assert answer is not None
        assert answer.headers["content-type"].partition(";")[0] in {"application/xml", "application/json"}
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert tab.evaluate("window.pwned") is None
