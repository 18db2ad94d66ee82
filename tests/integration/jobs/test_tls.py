"""Store and broker behind TLS: what is verified, and what each process shows of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.store.server_errors import UNREACHABLE
from stemline.runtime.broker import broker_of
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store, probe
from stemline.testing.resp_proxy import RespProxy
from stemline.workers.app import create_app
from tests.conftest import running
from tests.support.certificates import make_certificate, server_context
from tests.support.service import running_service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates of a server, of one with another name, and of a client."""
    folder = tmp_path_factory.mktemp("tls")
    for name, subject in (
        ("server", "IP:127.0.0.1"),
        ("elsewhere", "DNS:elsewhere.test"),
        ("client", "DNS:worker.test"),
    ):
        make_certificate(folder, name, subject)
    return folder


Serve = Callable[..., RespProxy]


@pytest.fixture
def serve(valkey_server: ValkeyServer, certificates: Path) -> Iterator[Serve]:
    """Starts a server with TLS by the name of its certificate; ``clients`` are those it requires."""
    proxies: list[RespProxy] = []

    def start(name: str = "server", clients: str | None = None) -> RespProxy:
        authority = certificates / f"{clients}.crt" if clients else None
        tls = server_context(certificates / f"{name}.crt", clients=authority)
        proxies.append(RespProxy(valkey_server.port, tls=tls).__enter__())
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.__exit__()


def store_works(settings: Settings) -> bool:
    store = open_store(settings)
    try:
        return store.now() > 0
    except StoreUnavailable:
        return False
    finally:
        store.close()


def broker_works(settings: Settings) -> bool:
    with create_app(settings).connection_for_read() as connection:
        try:
            return bool(connection.default_channel.client.ping())
        except OperationalError:
            return False


def probe_works(settings: Settings) -> bool:
    answer = probe(settings.store, settings.store.broker)
    assert answer in {"ok", UNREACHABLE}
    return answer == "ok"


USERS = [store_works, broker_works, probe_works]


@pytest.mark.parametrize("works", USERS)
def test_a_server_is_verified_by_default(
    works: Callable[[Settings], bool], serve: Serve, certificates: Path
) -> None:
    """Store, broker and probe refuse an unknown authority, a wrong one and a wrong host name."""
    server, elsewhere = serve(), serve("elsewhere")
    own, other = certificates / "server.crt", certificates / "elsewhere.crt"
    assert not works(Settings(redis_url=server.url))
    assert not works(Settings(redis_url=server.url, redis_ca=other))
    assert not works(Settings(redis_url=elsewhere.url, redis_ca=other))
    assert works(Settings(redis_url=server.url, redis_ca=own))


@pytest.mark.parametrize("works", USERS)
def test_a_server_may_require_a_certificate(
    works: Callable[[Settings], bool], serve: Serve, certificates: Path
) -> None:
    """A process shows the certificate of its settings; without one such a server does not serve it."""
    server = serve(clients="client")
    trusted: dict[str, Any] = {"redis_url": server.url, "redis_ca": certificates / "server.crt"}
    client = {"redis_certificate": certificates / "client.crt", "redis_key": certificates / "client.key"}
    assert not works(Settings(**trusted))
    assert works(Settings(**trusted, **client))


@pytest.mark.parametrize("works", USERS)
def test_the_url_takes_precedence(
    works: Callable[[Settings], bool], serve: Serve, certificates: Path
) -> None:
    """``ssl_…`` parameters of the URL count before the settings, and leave the others in force."""
    url, own, other = serve().url, certificates / "server.crt", certificates / "elsewhere.crt"
    assert works(Settings(redis_url=f"{url}?ssl_ca_certs={own}", redis_ca=other))
    assert not works(Settings(redis_url=f"{url}?ssl_ca_certs={other}", redis_ca=own))
    assert works(Settings(redis_url=f"{serve('elsewhere').url}?ssl_check_hostname=false", redis_ca=other))
    assert works(Settings(redis_url=f"{url}?ssl_cert_reqs=none&ssl_check_hostname=false"))


def test_a_server_without_tls_gets_no_options() -> None:
    """``redis://`` stays as it is, whatever the other settings say."""
    settings = Settings(redis_url="redis://:secret@127.0.0.1:1/3", redis_ca="/ca.pem")
    broker = broker_of(settings.store)
    assert ("redis://:secret@127.0.0.1:1/3", None) == (broker.url, broker.tls)


def test_a_job_passes_through_all_processes_over_tls(certificates: Path, tmp_path: Path) -> None:
    """API, workers, beat and Flower work over ``rediss://`` with certificates on both sides."""
    server = ValkeyServer(tmp_path)
    tls = server_context(certificates / "server.crt", clients=certificates / "client.crt")
    variables = {
        "STEMLINE_REDIS_CA": str(certificates / "server.crt"),
        "STEMLINE_REDIS_CERTIFICATE": str(certificates / "client.crt"),
        "STEMLINE_REDIS_KEY": str(certificates / "client.key"),
    }
    ends = []
    for _ in running(server):
        with (
            RespProxy(server.port, tls=tls) as proxy,
            running_service(tmp_path, proxy, **variables) as service,
        ):
            ends.append(service.do_job())
    assert ["Failed"] == ends  # its bucket refuses
