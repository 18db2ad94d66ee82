"""Attacks by a page of another site on an API that serves requests without a signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from stemline.jobs.store import JobFilter
from stemline.runtime.settings import HostRoute
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import TENANT, ApiServer, api_settings
from stemline.testing.client import BUCKET, HOST, REGION, Client, submission

ROUTE = HostRoute(bucket=BUCKET, region=REGION)
CHANGES = (
    ("POST", "/jobs"),
    ("PUT", "/jobs/j1?cancel"),
    ("POST", "/bulk/jobs/cancel"),
    ("POST", "/batches"),
    ("PUT", "/queue/p1"),
    ("POST", "/template"),
    ("POST", "/asrbucket"),
    ("DELETE", "/asrbucket"),
    ("POST", "/uploads"),
    ("POST", "/console/check"),
)
FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": f"http://other.{HOST}"},
    {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"},
    {"Sec-Fetch-Site": "unheard-of"},
    {"Origin": "http://evil.example"},
    {"Origin": f"http://{HOST}:81"},
    {"Origin": f"http://{HOST}.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": f"chrome-extension://{HOST}"},
)
OWN: tuple[Mapping[str, str], ...] = (
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://name.of.the.proxy"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": f"http://{HOST}"},
    {"Origin": f"https://{HOST.upper()}:443"},
)
#: Names that no stranger can make to mean this machine, or that the operator has given.
LOCAL = ("127.0.0.1", "127.0.0.1:8787", "[::1]:8787", "localhost", "a.localhost", "api", "own.example", HOST)
STRANGERS = ("evil.example", "127.0.0.1.evil.example:8787", "localhost.evil.example", "api.own.example")


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API for every host and without signatures."""
    hosts = {"*": ROUTE, "own.example": ROUTE}
    settings = api_settings(anonymous_access=True, hosts=hosts, endpoint_suffixes={})
    with ApiServer(settings, InMemoryStore(store_options(settings))) as started:
        yield started


def jobs_of(server: ApiServer) -> int:
    """How many jobs there are."""
    return len(server.store.jobs.search(TENANT, JobFilter(size=100)).items)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_changes_nothing(server: ApiServer, headers: dict[str, str]) -> None:
    """What a browser sends for it is refused on every route that changes something, whatever its body."""
    before = jobs_of(server)
    for method, target in CHANGES:
        for body in (b"", submission().encode()):
            sent = {"Content-Type": "text/plain", **headers}
            answer = server.client.request(method, target, body, sent, signed=False)
            assert (403, "AccessDenied") == (answer.status, answer.code), (method, target)
            assert "another site" in (answer.text("Message") or "")
    assert before == jobs_of(server)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_signature_is_enough(server: ApiServer, headers: dict[str, str]) -> None:
    """A page that has a key pair may send from wherever it is, and every page may ask without reading."""
    before = jobs_of(server)
    assert 200 == server.client.request("POST", "/jobs", submission().encode(), headers).status
    assert before + 1 == jobs_of(server)
    assert 200 == server.client.request("GET", "/queue", headers=headers, signed=False).status


@pytest.mark.parametrize("headers", OWN)
def test_programs_and_own_pages_are_served(server: ApiServer, headers: dict[str, str]) -> None:
    """Without a signature programs, which send no such headers, and pages of the API's own host submit."""
    before = jobs_of(server)
    assert 200 == server.client.request("POST", "/jobs", submission().encode(), headers, signed=False).status
    assert before + 1 == jobs_of(server)


@pytest.mark.parametrize("target", ["/queue", "/jobs?tag=VoiceSeparate", "/events", "/console/session"])
@pytest.mark.parametrize("host", STRANGERS)
def test_no_stranger_s_name_is_served(server: ApiServer, host: str, target: str) -> None:
    """A name that a stranger may have let mean this machine reads nothing without a signature."""
    rebound = Client(server.port, host=host)
    for headers in ({}, {"X-Stemline-Tenant": f"{REGION}/{BUCKET}"}):
        answer = rebound.request("GET", target, headers=headers, signed=False)
        assert (403, "AccessDenied") == (answer.status, answer.code)
        assert "STEMLINE_HOSTS" in (answer.text("Message") or "")
    assert 200 == rebound.get("/queue").status


@pytest.mark.parametrize("host", LOCAL)
def test_known_names_are_served(server: ApiServer, host: str) -> None:
    """Addresses, names of this machine and those of the settings are no stranger's."""
    assert 200 == Client(server.port, host=host).request("GET", "/queue", signed=False).status
