"""The console in a real browser: signing in, jobs, uploads, queues, callbacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Error, FilePayload, Page, Route, expect

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.states import QueueState
from stemline.jobs.store import JobFilter, QueueFilter, Store, delivery_id
from stemline.jobs.tenant import Tenant
from stemline.testing.api_server import TENANT
from stemline.testing.client import BUCKET, SECRET_ID, SECRET_KEY
from tests.browser import samples
from tests.browser.service import READER, Service
from tests.browser.worker import tone, wav

pytestmark = pytest.mark.slow

VIEWS = (
    "",
    "?view=new",
    "?view=batches",
    "?view=usage",
    "?view=queues",
    "?view=templates",
    "?view=deliveries",
    "?view=workers",
)

#: Pixels between the nearer edge of the window and the word of the view that is open.
BESIDE = """() => {
  const { left, right } = document.querySelector("nav [aria-current]").getBoundingClientRect();
  return Math.min(left, innerWidth - right);
}"""
#: Tables that are wider than their place, so that a part of them is seen only by who scrolls there.
HIDDEN = """() => [...document.querySelectorAll(".wide")]
  .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText)"""

#: Drop a file on the page, as the browser reports it.
DROP = """(bytes) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], "Dropped.wav", { type: "audio/wav" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def paused(running: Service) -> Iterator[Store]:
    """The store, with its queue paused during the test: what is submitted waits."""
    store = running.server.store
    store.tenants.open(TENANT)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    yield store
    store.queues.update(TENANT, queue.id, state=QueueState.ACTIVE)


def row(page: Page, job_id: str) -> Any:
    return page.locator(f".row[data-job={job_id}]")


def song(running: Service, key: str, seconds: float = 3) -> None:
    running.s3.put_object(Bucket=BUCKET, Key=key, Body=wav(tone(seconds)))


def test_strangers_see_nothing(page: Page, running: Service) -> None:
    """A wrong key is reported in a sentence with the id of the request, and shows no jobs."""
    page.goto(running.url)
    page.get_by_label("SecretId").fill(SECRET_ID)
    page.get_by_label("SecretKey").fill("not the key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The SecretKey does not fit the SecretId.")
    expect(page.get_by_role("alert")).to_contain_text("Request ")
    expect(page.get_by_role("navigation")).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0


def test_signing_in_and_out(page: Page, running: Service) -> None:
    """Keys outlive a reload of the tab and not the button that signs out; no other place keeps them."""
    page.goto(running.url)
    page.get_by_label("SecretId").fill(SECRET_ID)
    page.get_by_label("SecretKey").fill(SECRET_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation")).to_be_visible()
    page.reload()
    expect(page.get_by_role("navigation")).to_be_visible()
    assert SECRET_KEY not in page.evaluate("JSON.stringify(localStorage) + document.cookie")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("SecretKey")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_login_link(page: Page, running: Service) -> None:
    """A link signs in, opens the view that it names, and leaves no key in the address or the history."""
    page.goto(running.link("?view=queues"))
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    assert page.url == f"{running.url}?view=queues"
    page.get_by_role("link", name="Jobs").click()
    page.go_back()
    assert "login" not in page.url


def test_a_damaged_login_link_is_said(page: Page, running: Service) -> None:
    """A link that lost a part on its way is not ignored, whether somebody is signed in or not."""
    link = running.link()
    page.goto(f"{running.url}#login={link.partition('=')[2][:20]}")
    expect(page.get_by_role("alert")).to_contain_text("The log-in link is damaged")
    assert "login" not in page.url
    page.goto(link)
    expect(page.get_by_role("navigation")).to_be_visible()
    page.evaluate("location.hash = '#login=abc'")
    expect(page.get_by_role("status")).to_contain_text("The log-in link is damaged")
    expect(page).to_have_title("Jobs · Stemline")


def test_a_login_link_asks_before_it_replaces_who_is_signed_in(page: Page, running: Service) -> None:
    """A link with another key, or for another bucket, changes nothing until that is confirmed."""
    keys = {"secret_id": READER.secret_id, "secret_key": READER.secret_key.get_secret_value()}
    own = running.link("?view=queues")
    page.goto(own)
    expect(page.get_by_role("button", name="Edit").first).to_be_visible()
    page.goto(own)  # the same session again asks nothing
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(running.link("?view=templates", **keys))
    expect(page.get_by_role("dialog")).to_contain_text(
        f"signs in as READER. You are signed in as {SECRET_ID}"
    )
    assert "login" not in page.url
    page.get_by_role("button", name="No, go back").click()
    expect(page.get_by_role("button", name="New template").first).to_be_visible()
    page.evaluate("(link) => { location.href = link; }", running.link("?view=queues", **keys))
    page.get_by_role("button", name="Sign in as the other").click()
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "READER" in page.evaluate("sessionStorage.getItem('stemline.session')")


def test_a_login_link_in_another_tab_asks_too(page: Page, running: Service) -> None:
    """A link that opens a new tab signs nobody in as somebody else unasked; the same session asks nothing."""
    keys = {"secret_id": READER.secret_id, "secret_key": READER.secret_key.get_secret_value()}
    page.goto(running.link("?view=queues"))
    expect(page.get_by_role("button", name="Edit").first).to_be_visible()
    with page.context.new_page() as other:
        other.goto(running.link("?view=queues"))
        expect(other.get_by_role("button", name="Edit").first).to_be_visible()
    with page.context.new_page() as other:
        other.goto(running.link("?view=queues", **keys))
        expect(other.get_by_role("dialog")).to_contain_text(
            f"signs in as READER. You are signed in as {SECRET_ID}"
        )
        assert other.evaluate("sessionStorage.length") == 0
        other.get_by_role("button", name="Sign in as the other").click()
        expect(other.get_by_role("button", name="Sign out")).to_have_attribute("title", "READER")
    assert "READER" not in page.evaluate("sessionStorage.getItem('stemline.session')")


def test_a_file_that_is_dropped_anywhere_becomes_a_job(page: Page, running: Service) -> None:
    """A song that is dropped on the list of jobs does not take the place of the page; it becomes a job."""
    page.goto(running.link())
    expect(page.get_by_role("link", name="New job").first).to_be_visible()
    page.evaluate(DROP, list(wav(tone(0.2))))
    expect(page.locator(".upload")).to_have_attribute("data-state", "done")
    page.get_by_role("link", name="Open the job").click()
    expect(page.get_by_role("heading", name="Dropped.wav")).to_contain_text("Success")
    attempts = page.get_by_role("region", name="Timeline")
    expect(attempts).to_contain_text("Succeeded on separate@splitter/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("SecretId").fill(READER.secret_id)
    page.get_by_label("SecretKey").fill(READER.secret_key.get_secret_value())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Dropped.wav")).to_be_visible()
    page.evaluate(DROP, [0])
    expect(page.get_by_role("status")).to_contain_text("may not upload files")
    page.evaluate("history.pushState(null, '', '?view=new'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("may not submit jobs")).to_be_visible()
    expect(page.get_by_text("Dropped.wav")).to_have_count(0)  # what another did is not shown


def test_what_would_be_refused_is_not_uploaded(page: Page, running: Service, tmp_path: Path) -> None:
    """A wrong option, an empty file, a folder are refused unsent; a refused job takes the form as it is."""
    page.goto(running.link("?view=new"))
    files = page.locator("input[type=file]")
    song = FilePayload(name="checked.wav", mimeType="audio/wav", buffer=wav(tone(0.2)))
    alert, uploads = page.get_by_role("alert"), page.locator(".upload")
    files.set_input_files(FilePayload(name="nothing.mp3", mimeType="audio/mpeg", buffer=b""))
    expect(alert).to_contain_text("nothing.mp3 is empty")
    browser = page.context.new_cdp_session(page)
    place = page.locator(".drop").bounding_box()
    assert place
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(tmp_path)], "dragOperationsMask": 1}
        at = {"x": place["x"] + 9, "y": place["y"] + 9}
        browser.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
    expect(alert).to_contain_text(f"{tmp_path.name} cannot be read: it is a folder")
    page.locator("summary").click()
    for label, wrong, said in (
        ("User data", "歌曲", "ASCII"),
        ("Callback URL", "ftp://receiver.example/x", "http or https"),
        ("Audio track", "no such/track!", "AudioTrack"),
        ("Names of the stems", "out/../{stem}.mp3", "InvalidArgument"),
    ):
        field = page.get_by_label(label)
        before = field.input_value()
        field.fill(wrong)
        files.set_input_files(song)
        expect(alert.first).to_contain_text(said)
        expect(uploads).to_have_count(0)
        field.fill(before)
    once = []

    def refuse(route: Route) -> None:
        once.append(route.request.post_data_json)
        if len(once) == 1:
            refusal = {"Code": "InvalidArgument", "Message": "Refused once.", "RequestId": "x"}
            route.fulfill(status=400, json=refusal)
        else:
            route.continue_()

    page.route("**/jobs", refuse)
    files.set_input_files([song, FilePayload(name="left.wav", mimeType="audio/wav", buffer=song["buffer"])])
    expect(uploads.filter(has_text="Refused once.")).to_have_count(1)
    page.get_by_label("User data").fill("as it is now")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Open the job")).to_have_count(2)
    assert ["", "", "as it is now"] == sorted(each["Operation"].get("UserData", "") for each in once)
    once.clear()
    files.set_input_files(FilePayload(name="given up.wav", mimeType="audio/wav", buffer=song["buffer"]))
    expect(uploads.filter(has_text="Refused once.")).to_have_count(1)
    page.get_by_role("button", name="Give up").click()
    expect(uploads).to_have_count(2)


def test_files_that_are_chosen_on_a_phone_are_seen(page: Page, running: Service) -> None:
    """The list of uploads, below the form, comes into view once, not whenever the page is opened."""
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(running.link("?view=new"))
    page.locator("input[type=file]").set_input_files(
        FilePayload(name="phone.wav", mimeType="audio/wav", buffer=wav(tone(0.2)))
    )
    expect(page.locator(".upload").filter(has_text="phone.wav")).to_be_in_viewport()
    expect(page.get_by_role("link", name="Open the job")).to_have_count(1)
    page.get_by_role("link", name="Queues").click()
    page.get_by_role("heading", name="Queues").wait_for()
    page.go_back()
    expect(page.locator(".upload").filter(has_text="phone.wav")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()


def test_an_upload_that_waits_is_resumed_once(page: Page, running: Service) -> None:
    """A paused file that is resumed waits for those that are sent and becomes one job."""
    page.goto(running.link("?view=new"))
    files, uploads = page.locator("input[type=file]"), page.locator(".upload")
    names = ("first.wav", "second.wav", "third.wav")
    first, *others = (FilePayload(name=name, mimeType="audio/wav", buffer=wav(tone(0.2))) for name in names)
    held: list[Route] = []
    submitted: list[str] = []

    def submit(route: Route) -> None:
        submitted.append(route.request.post_data_json["Input"]["Object"].rpartition("/")[2])
        route.continue_()

    page.route("**/*partNumber*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright cannot wrap a method of C
    page.route("**/jobs", submit)
    files.set_input_files(first)
    uploads.get_by_role("button", name="Pause").click()
    files.set_input_files(others)
    expect(uploads.get_by_role("button", name="Pause")).to_have_count(2)
    paused = uploads.filter(has_text="first.wav")
    paused.get_by_role("button", name="Resume").evaluate("(button) => { button.click(); button.click(); }")
    expect(paused).to_contain_text("waits for its turn")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    page.unroute("**/*partNumber*")
    for route in held:
        with suppress(Error):  # that of the paused one has been given up
            route.continue_()
    expect(page.get_by_role("link", name="Open the job")).to_have_count(3)
    assert sorted(names) == sorted(submitted)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_changes_no_time(page: Page, running: Service, paused: Store, hours: int) -> None:
    """Ages and waits are the service's, whatever the clock of the reader's computer says."""
    page.add_init_script(f"const real = Date.now; Date.now = () => real() + {hours * 3_600_000};")
    (job,) = paused.jobs.create([samples.spec(3)])
    page.goto(running.link())
    age = row(page, job.id).locator(".age")
    expect(age).to_have_text(re.compile(r"^\d+(\.\d)? s$"))
    row(page, job.id).get_by_role("link").click()
    times = page.get_by_role("region", name="Timeline").get_by_role("img")
    expect(times).to_have_attribute("aria-label", re.compile(r"^waited \d+(\.\d)? s$"))
    paused.jobs.cancel(TENANT, [job.id])


def test_from_a_file_to_its_stems(page: Page, running: Service) -> None:
    """A file that is chosen becomes a job and then stems that play: solo, seek, loop, by hand and by key."""
    page.goto(running.link("?view=new"))
    page.get_by_label("Codec").select_option("wav")
    file = FilePayload(name="My söng.wav", mimeType="audio/wav", buffer=wav(tone(30)))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(".upload")).to_have_attribute("data-state", "done")
    page.get_by_role("link", name="Open the job").click()
    expect(page.get_by_role("heading", name="My söng.wav")).to_contain_text("Success")
    expect(page.locator(".player canvas[data-drawn=wave]")).to_have_count(3)
    page.get_by_role("button", name="Play", exact=True).click()
    player = page.locator(".player")
    expect(player).to_have_attribute("data-loaded", "true")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.get_by_role("button", name="Solo Voice").click()
    expect(page.locator("[data-track=Object]")).to_have_class(re.compile("silent"))
    expect(player).to_contain_text("1 to 2 solo a stem")
    page.keyboard.press("1")
    expect(page.locator("[data-track=Object]")).not_to_have_class(re.compile("silent"))
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="A mix").click()
    expect(page.locator("[data-track=AuObject]")).to_have_class(re.compile("silent"))
    wave = page.locator("[data-track=Mix] .wave")
    box = wave.bounding_box()
    wave.click(position={"x": box["width"] * 0.5, "y": 10})
    expect(page.locator(".clock")).to_contain_text(re.compile(r"^0:(1[5-9]|[23])"))
    with page.expect_download() as zipped:
        page.get_by_role("button", name="All as zip").click()
    assert "My söng.zip" == zipped.value.suggested_filename
    with page.expect_download() as mixed:
        page.get_by_role("button", name="Mix as set").click()
    assert mixed.value.path().stat().st_size == 44 + 30 * 44_100 * 2 * 3


def test_a_failed_job_says_why_and_is_tried_again(page: Page, running: Service) -> None:
    """A failed job shows its code and message; once its source is there, another try succeeds."""
    page.goto(running.link("?view=new"))
    page.get_by_label("Or the key of an object").fill("in/late.wav")
    page.get_by_role("button", name="Submit", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("ResourceNotFound")
    expect(alert).to_contain_text("What to do: Compare the source's key")
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("Failed on")
    expect(timeline).not_to_contain_text("does not exist")  # it is said above
    expect(page).to_have_title("late.wav (Failed) · Stemline")
    song(running, "in/late.wav", 1)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="late.wav")).to_contain_text("Success")


def test_a_job_that_waits_for_its_time(page: Page, running: Service) -> None:
    """Times that cannot be kept are refused in the form; a job that may start later says so."""
    page.goto(running.link("?view=new"))
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Deadline").fill("2020-01-01T10:00")
    expect(page.get_by_role("alert")).to_contain_text("The deadline has passed.")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    page.get_by_label("Not before").fill(tomorrow.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_label("Deadline").fill((tomorrow + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_label("Longest run").fill("900")
    page.get_by_label("Or the key of an object").fill("in/later.wav")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", name="later.wav")).to_contain_text("Waiting")
    facts = page.get_by_role("region", name="Job", exact=True)
    for name in ("Not before", "Deadline", "Longest run15 min 0 s"):
        expect(facts).to_contain_text(name)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")


def test_batches_workers_and_usage(page: Page, running: Service, paused: Store) -> None:
    """A batch is shown with its rows, paused and cancelled; workers that report are alive; usage has both."""
    batch = samples.add_batches(paused)
    page.goto(running.link("?view=batches"))
    page.get_by_role("link", name="night").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Active")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Paused")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Active")
    page.get_by_role("link", name="Its jobs").click()
    expect(page.locator(".row[data-job]")).to_have_count(12)
    expect(page.get_by_text("Jobs of the batch")).to_contain_text(batch)
    page.go_back()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("10 jobs will be cancelled")
    page.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    with samples.workers(paused), samples.gone(paused, "separate@worker-9"):
        page.get_by_role("link", name="Workers").click()
        idle = page.locator("[data-worker='separate@worker-2']")
        expect(idle).to_contain_text("Alive")
        expect(idle).to_contain_text("4 jobs; levels 2, 1, 0")
        expect(idle).to_contain_text("idle, or with another bucket")
        gone = page.locator("[data-worker='separate@worker-9']")
        expect(gone).to_contain_text("Gone")
        expect(gone).not_to_contain_text("idle")
        # Jobs name threads of their worker, which get no card of their own.
        expect(page.locator("section[data-worker]")).to_have_count(5)
        expect(page.locator(".state.Unknown")).to_have_count(0)
    page.get_by_role("link", name="Usage").click()
    expect(page.get_by_role("cell", name=SECRET_ID).first).to_be_visible()
    with page.expect_download() as table:
        page.get_by_role("button", name="CSV").click()
    assert table.value.path().read_text().startswith("Date,Credential,")
    for found in paused.batches.search(TENANT).items:
        paused.batches.cancel(TENANT, found.id)
        paused.jobs.cancel_where(TENANT, JobFilter(batch=found.id, size=100))


def test_a_queue_is_paused_and_resumed(page: Page, running: Service) -> None:
    """Pause holds a job back, its page cancels it, Resume lets the next run; the list follows by itself."""
    song(running, "in/queue.wav", 1)
    page.goto(running.link("?view=queues"))
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    page.get_by_role("link", name="Jobs").click()
    first, second = running.server.store.jobs.create(
        [samples.spec(1), samples.spec(2, input_object="in/queue.wav")]
    )
    expect(row(page, first.id)).to_contain_text("Paused")
    row(page, first.id).get_by_role("link").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    page.get_by_role("link", name="Queues").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    page.get_by_role("link", name="Jobs").click()
    expect(row(page, second.id)).to_contain_text("Success")


def test_jobs_are_found_and_cancelled_together(page: Page, running: Service, paused: Store) -> None:
    """Chosen jobs are cancelled, and all that wait, after a question that counts; a search finds them."""
    jobs = paused.jobs.create([samples.spec(n, user_data=f"bulk {n}") for n in range(4)])
    page.goto(running.link("?state=Submitted"))
    for job in jobs[:2]:
        row(page, job.id).get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel the selected jobs").click()
    expect(page.get_by_role("dialog")).to_contain_text("2 jobs will be cancelled")
    page.get_by_role("button", name="Cancel them").click()
    expect(row(page, jobs[0].id)).to_have_count(0)
    expect(page.get_by_role("button", name="Waiting 2")).to_be_visible()
    page.get_by_role("button", name="Cancel all waiting (2)").click()
    page.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_role("button", name="Waiting 0")).to_be_visible()
    page.get_by_role("button", name="All").click()
    page.get_by_label("Id, part of a key, or user data").fill("bulk 3")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".row[data-job]")).to_have_count(1)
    page.reload()
    expect(row(page, jobs[3].id)).to_contain_text("Cancelled")
    expect(page.get_by_text("1 job", exact=True)).to_be_visible()
    row(page, jobs[3].id).get_by_role("checkbox").check()
    expect(page.get_by_role("button", name="Retry the selected jobs")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the selected jobs")).to_have_count(0)
    page.get_by_label("Id, part of a key, or user data").fill(jobs[0].id)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")


def test_the_list_of_a_search_follows_its_jobs(page: Page, running: Service, paused: Store) -> None:
    """Jobs that were searched for change, come and go in the list by themselves, as in the whole list."""
    first, second = paused.jobs.create([samples.spec(n, user_data="followed") for n in range(2)])
    page.goto(running.link("?text=followed&state=Pause"))
    expect(page.locator(".row[data-job]")).to_have_count(2)
    (third,) = paused.jobs.create([samples.spec(2, user_data="followed")])
    expect(row(page, third.id)).to_be_visible()
    paused.jobs.cancel(TENANT, [first.id])
    expect(row(page, first.id)).to_have_count(0)
    page.goto(f"{running.url}?queue={second.spec.queue_id}")
    expect(row(page, second.id)).to_contain_text("Paused")
    expect(page.get_by_text("Jobs of the queue")).to_contain_text(second.spec.queue_id)
    paused.jobs.cancel(TENANT, [second.id, third.id])
    expect(row(page, second.id)).to_contain_text("Cancelled")


def test_addresses_that_name_nothing(page: Page, running: Service) -> None:
    """A view or a page that does not exist shows the nearest one, also by a name of JavaScript's own."""
    page.goto(running.link("?view=constructor"))
    expect(page).to_have_title("Jobs · Stemline")
    for query, heading in (
        ("?view=deliveries&page=abc", "Deliveries"),
        ("?view=batches&page=-1.5", "Batches"),
    ):
        page.goto(running.url + query)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.locator(".empty, .delivery, [data-batch]").first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_view_that_could_not_be_loaded_is_tried_again(page: Page, running: Service) -> None:
    """Without a network a view says so in a sentence, and comes by itself afterwards, as do its data."""
    page.goto(running.link())
    expect(page.get_by_role("link", name="New job").first).to_be_visible()
    for path in ("**/static/views/templates.js", "**/template?*"):
        page.route(path, lambda route: route.abort())
        if page.get_by_role("heading", name="Templates").count() == 0:
            page.get_by_role("link", name="Templates").click()
        expect(page.get_by_role("alert").first).to_contain_text("The service does not answer.")
        page.unroute(path)
    expect(page.get_by_role("button", name="New template").first).to_be_visible()


def test_a_callback_that_was_given_up_is_sent_again(page: Page, running: Service) -> None:
    """Dead letters are listed with every attempt, and Resend starts their schedule anew."""
    store = running.server.store
    song(running, "in/hook.wav", 1)
    url = "http://receiver.example/hook"
    (job,) = store.jobs.create(
        [samples.spec(0, input_object="in/hook.wav", callback=CallbackRequest(url=url))]
    )
    page.goto(running.link(f"?view=job&job={job.id}"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Success")
    samples.give_up(store, delivery_id(job.id))
    page.get_by_role("link", name="Deliveries").click()
    delivery = page.locator(".delivery")
    expect(delivery).to_contain_text("Given up")
    expect(delivery.get_by_role("link", name="hook.wav")).to_be_visible()
    expect(delivery).to_contain_text("Last attempt: 500 it is on fire")
    expect(page.get_by_role("button", name="Needs attention 1")).to_be_visible()
    expect(page.get_by_role("button", name="Given up 1")).to_be_visible()
    delivery.get_by_role("button", name="Attempts: 1").click()
    expect(delivery).to_contain_text("500 it is on fire")
    expect(delivery).to_contain_text("POST http://receiver.example/hook")
    expect(delivery).to_contain_text("<EventName>TaskFinish</EventName>")
    delivery.get_by_role("button", name="Resend").click()
    expect(delivery).to_contain_text("Pending")  # it still needs attention, until the receiver takes it
    expect(page.get_by_role("button", name="Given up 0")).to_be_visible()
    assert "pending" == store.outbox.get(delivery_id(job.id)).status


def test_templates_are_made_changed_and_deleted(page: Page, running: Service) -> None:
    """A template is created, found on the page of a new job, edited and deleted."""
    page.goto(running.link("?view=templates"))
    page.get_by_role("button", name="New template").click()
    page.get_by_label("Name").fill("four-wav")
    page.get_by_label("Stems").select_option("MusicMode")
    page.get_by_label("Codec").select_option("wav")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="four-wav")).to_contain_text("Four stems")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Model")).to_have_value("")
    page.get_by_label("Name").fill("four*wav!")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Name must be")
    page.get_by_label("Name").fill("four-stems")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="four-stems")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No templates yet")).to_be_visible()


def test_the_focus_is_never_lost(page: Page, running: Service) -> None:
    """After a dialog the focus is where it was; after a form that leads elsewhere it is on the new view."""
    page.goto(running.link("?view=queues"))
    edit = page.get_by_role("button", name="Edit")
    for leave in ("Close", "No, go back", "Save"):
        edit.press("Enter")
        page.get_by_role("dialog").get_by_role("button", name=leave).press("Enter")
        expect(edit).to_be_focused()
    page.get_by_role("link", name="Jobs").press("Enter")
    expect(page.get_by_role("link", name="Jobs")).to_be_focused()
    page.goto(f"{running.url}?view=new")
    page.get_by_label("Or the key of an object").fill("in/focus.wav")
    page.get_by_label("Or the key of an object").press("Enter")
    expect(page.get_by_role("heading", name="focus.wav")).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()


def test_read_only_keys_see_no_switches(page: Page, running: Service, paused: Store) -> None:
    """A credential that may only read sees jobs, queues and templates, and nothing that changes them."""
    (job,) = paused.jobs.create([samples.spec(3)])
    keys = {"secret_id": READER.secret_id, "secret_key": READER.secret_key.get_secret_value()}
    page.goto(running.link("", **keys))
    expect(row(page, job.id)).to_be_visible()
    for query in ("", "?view=queues", "?view=templates", f"?view=job&job={job.id}", "?view=new"):
        page.goto(running.url + query)
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        expect(
            page.locator(
                "main button:not(.filter)", has_text=re.compile("Cancel|Pause|Resume|New|Edit|again|Submit")
            )
        ).to_have_count(0)
        expect(page.get_by_role("checkbox")).to_have_count(0)
    paused.jobs.cancel(TENANT, [job.id])


def test_every_view_fits_a_phone_and_speaks_chinese(page: Page, running: Service, paused: Store) -> None:
    """At 360 px no view scrolls sideways, nor a table in it; the language changes at once and stays."""
    templates = running.server.store.templates
    separate = samples.spec(0).separate
    made = templates.create(TENANT, "a-name-that-is-long-enough-for-a-phone", separate)
    (job,) = paused.jobs.create([samples.spec(0, input_object=f"in/{'w' * 400}\u202e3pm.exe")])
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(running.link())
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("link", name="任务", exact=True)).to_be_visible()
    expect(page.locator(".rows, .empty").first).not_to_contain_text(re.compile("Success|Failed|No jobs"))
    for query in (*VIEWS, f"?view=job&job={job.id}"):
        page.goto(running.url + query)
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        if query == "?view=templates":
            expect(page.locator(".wide")).to_contain_text(made.name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert [] == page.evaluate(HIDDEN)
        assert "zh-CN" == page.evaluate("document.documentElement.lang")
    # What turns letters round is written out, and turns round nothing beside it.
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{'w' * 400}\\u202e3pm.exe 已暂停")
    page.get_by_role("button", name="English").click()
    page.goto(running.url + "?view=usage")
    expect(page.get_by_role("heading", level=1)).to_have_text("Usage")
    assert page.evaluate(BESIDE) > 12  # the row of words is scrolled to it, and shows that others follow
    paused.jobs.cancel(TENANT, [job.id])
    templates.delete(TENANT, made.id)


def test_several_buckets(page: Page, running: Service) -> None:
    """Where several buckets are open, one is chosen, and its jobs alone are shown."""
    store = running.server.store
    other = Tenant("other-1250000000", TENANT.region)
    (job,) = store.jobs.create([samples.spec(5, tenant=other)])
    store.tenants.open(TENANT)
    page.goto(running.link())
    page.get_by_label("Bucket").select_option(f"{other.region}/{other.bucket}")
    expect(row(page, job.id)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Bucket")).to_have_value(f"{other.region}/{other.bucket}")
    expect(page.locator(".row[data-job]")).to_have_count(1)


def test_the_page_runs_only_its_own_code(running: Service) -> None:
    """The page may run its own files alone and talk to its own servers alone."""
    answer = httpx.get(running.url, trust_env=False)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    endpoint = running.server.settings.storage.buckets["*"].endpoint_url
    assert f"connect-src 'self' {endpoint};" in policy
