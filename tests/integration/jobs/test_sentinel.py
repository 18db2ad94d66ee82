"""Store, broker and Flower behind Sentinels: the primary dies, hangs or is replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
import redis

from stemline.cli.checks import servers
from stemline.cli.checks.findings import CheckContext, Verdict
from stemline.deploy.local.ports import free_port
from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.store import RedisStore
from stemline.runtime.errors import EndpointRefused
from stemline.runtime.message_queues import check_endpoints
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store, probe, probe_durability
from stemline.testing.processes import eventually
from stemline.testing.samples import job_spec
from stemline.testing.sentinels import MASTER, SentinelGroup, sentinel_group
from stemline.workers.app import create_app
from tests.support.service import RECOVERY_S, Service, running_service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    """A primary, a replica and three Sentinels."""
    with sentinel_group(tmp_path_factory.mktemp("sentinels")) as found:
        yield found


@pytest.fixture(scope="module")
def service(group: SentinelGroup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """All processes, whose changes are answered when the replica has them."""
    variables = {"STEMLINE_DURABILITY": "replica", "STEMLINE_KEY_PREFIX": "s"}
    with running_service(tmp_path_factory.mktemp("service"), group.url, **variables) as found:
        yield found


def accepted(service: Service, seconds: float) -> set[str]:
    """Submit jobs one after another for some time; return the ids of those that were answered with 200."""
    ids, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        answered = service.submit()
        assert answered.status in {200, 503}, answered.body
        if answered.status == 200:
            ids.add(answered.text("JobsDetail/JobId") or "")
        time.sleep(0.05)  # some dozen jobs are enough
    return ids


def was_reported(service: Service, job_id: str) -> bool:
    """Return whether the callback of a job has arrived."""
    return any(job_id.encode() in each.body for each in list(service.receiver.received))


@pytest.mark.thorough
def test_nothing_answered_is_lost_when_the_primary_dies(group: SentinelGroup, service: Service) -> None:
    """Every job accepted before, while and after the primary was killed runs and has its callback."""
    before = accepted(service, 2)
    killed = group.kill_primary()
    during = accepted(service, 2)
    group.restart(killed)
    assert "Failed" == service.do_job()  # its bucket refuses
    for job_id in before | during:
        eventually(
            lambda job_id=job_id: was_reported(service, job_id),
            RECOVERY_S,
            "the callback",
        )
        assert "Failed" == service.client.get(f"/jobs/{job_id}").text("JobsDetail/State")
    assert before
    assert all(each.process.poll() is None for each in service.programs.values())


def test_jobs_run_after_the_primary_hung(group: SentinelGroup, service: Service) -> None:
    """While the former primary hangs, a replica has its place; later it is a replica itself."""
    with group.hung_primary():
        # With its only replica promoted, no other server can confirm a change.
        assert 503 == service.submit().status
    group.await_replicas()
    assert "Failed" == service.do_job()
    assert all(each.process.poll() is None for each in service.programs.values())


def shows_queues(service: Service) -> bool:
    """Return whether Flower has asked the broker for its queues; it gives up after two seconds."""
    page = httpx.get(f"{service.flower_url}/broker", auth=("user", "password"), trust_env=False, timeout=60)
    return all(queue in page.text for queue in ("separate.0", "separate.2", "callbacks"))


def test_a_dead_sentinel_is_passed_over(group: SentinelGroup, service: Service) -> None:
    """Store, broker and Flower's page of queues ask the others."""
    settings = Settings(redis_url=group.url)
    group.sentinels[0].kill()
    try:
        store = open_store(settings)
        assert store.now() > 0
        store.close()
        with create_app(settings).connection_for_read() as connection:
            assert connection.default_channel.client.ping()
        assert "ok" == probe(settings.store, settings.store.broker)
        eventually(lambda: shows_queues(service), 180, "Flower's page of queues")
    finally:
        group.sentinels[0].start()


@pytest.mark.parametrize(
    "changed",
    [("master=stemline", "master=other"), ("data-password", "wrong"), ("sentinel-password", "wrong")],
)
def test_a_wrong_name_or_password_is_an_error(group: SentinelGroup, changed: tuple[str, str]) -> None:
    """The store is unavailable, soon; nothing of the URL is in the error."""
    store = open_store(Settings(redis_url=group.url.replace(*changed)))
    with pytest.raises(StoreUnavailable) as error:
        store.jobs.create([job_spec()])
    assert "password" not in str(error.value)
    store.close()


def test_closing_a_store_leaves_no_connection(group: SentinelGroup) -> None:
    """Neither connections to the server nor to the Sentinels stay open."""

    def connections() -> int:
        clients = [redis.Redis.from_url(group.primary().url), *(each.client for each in group.sentinels)]
        try:
            return sum(len(client.client_list()) for client in clients)
        finally:
            for client in clients:
                client.close()

    def use() -> RedisStore:
        store = open_store(Settings(redis_url=group.url))
        store.now()
        return store

    before = connections()
    stores = [use() for _ in range(20)]
    assert connections() >= before + 30  # two each; some that were there before may have ended
    for store in stores:
        store.close()
    # Those of the Sentinels and of the service come and go.
    eventually(lambda: connections() < before + 20, 180, "the end of the connections")


def test_a_message_queue_may_not_be_the_database(group: SentinelGroup) -> None:
    """The database of the primary, or of a replica that may become it, is refused for message queues."""
    for server in group.servers:
        settings = Settings(redis_url=group.url, tdmq_endpoints={"*": f"redis://127.0.0.1:{server.port}/0"})
        with pytest.raises(EndpointRefused):
            check_endpoints(settings)
    other = Settings(redis_url=group.url, tdmq_endpoints={"*": "redis://127.0.0.1:6390/1"})
    check_endpoints(other)


def test_durability_is_known(group: SentinelGroup) -> None:
    """Readiness says that changes are confirmed by the replica."""
    settings = Settings(redis_url=group.url, durability="replica")
    assert eventually(lambda: probe_durability(settings.store) == "ok", 180, f"the replica of {MASTER}")


def test_doctor_examines_the_sentinels(group: SentinelGroup) -> None:
    """It finds Sentinels that do not answer, a URL that names too few, and a primary without a replica."""

    def findings(url: str) -> dict[Verdict, list[str]]:
        found: dict[Verdict, list[str]] = {}
        for each in servers.store(CheckContext(settings=Settings(redis_url=url))):
            found.setdefault(each.verdict, []).append(each.message)
        return found

    all_named = findings(group.url)
    assert "all 3 Sentinels answer" in all_named[Verdict.OK]
    assert Verdict.ERROR not in all_named
    assert any(f"at {MASTER} of 127.0.0.1:" in text for text in all_named[Verdict.OK])
    one = f",127.0.0.1:{group.sentinels[2].port}/"
    assert (
        "only 2 of the Sentinels are named in the URL"
        in findings(group.url.replace(one, "/"))[Verdict.WARNING]
    )
    dead = f",127.0.0.1:{free_port()}/"
    silent = findings(group.url.replace(one, dead))[Verdict.WARNING]
    assert any(text.startswith("1 of 3 Sentinels do not answer") for text in silent)
    assert "password" not in str(all_named)
