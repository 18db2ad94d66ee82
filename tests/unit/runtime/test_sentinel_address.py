"""URLs of Sentinels: read, refused, passed on to Kombu, and kept out of logs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from pydantic import SecretStr, ValidationError

from stemline.runtime.broker import broker_of
from stemline.runtime.redaction import MASK, Redaction, secrets_of
from stemline.runtime.sentinel_address import SentinelAddress
from stemline.runtime.settings import Settings

URL = "sentinel://user:p%40ss-word@a.test:1,b.test,[::1]:3/5?master=main&sentinel_password=s%26ecret-2"
KOMBU = "sentinel://user:p%40ss-word@a.test:1/5;sentinel://b.test;sentinel://[::1]:3?master=main&sentinel_password=s%26ecret-2"


@pytest.mark.parametrize("url", [URL, KOMBU])
def test_a_url_is_read(url: str) -> None:
    """Hosts, name, database and both passwords; hosts may be separated by commas or be whole URLs."""
    assert SentinelAddress.parse(url) == SentinelAddress(
        sentinels=(("a.test", 1), ("b.test", 26379), ("::1", 3)),
        master="main",
        database=5,
        username="user",
        password="p@ss-word",
        sentinel_username="",
        sentinel_password="s&ecret-2",
        has_tls=False,
        parameters={},
    )


def test_name_and_database_have_defaults() -> None:
    """The name is that of Sentinel's own example, the database 0."""
    address = SentinelAddress.parse("sentinels://host")
    assert ("mymaster", 0, (("host", 26379),), True) == (
        address.master,
        address.database,
        address.sentinels,
        address.has_tls,
    )


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://",
        "sentinel://secret@",
        "sentinel://a,,b",
        "sentinel://a:0",
        "sentinel://a:70000",
        "sentinel://a:port",
        "sentinel://a/name",
        "sentinel://a/-1",
        "sentinel://a?mastr=x",
        "sentinel://a;redis://b",
        "sentinel://a;b",
        "sentinel://a?master",
    ],
)
@pytest.mark.parametrize("variable", ["redis_url", "broker_url"])
def test_a_wrong_url_is_refused_at_the_start(variable: str, url: str) -> None:
    """The error says what a right one looks like, and does not repeat the URL."""
    url = url.replace("sentinel://", "sentinel://:hidden@", 1)
    with pytest.raises(ValidationError) as error:
        Settings(**{variable: url})
    assert "hidden" not in str(error.value)
    assert "not a URL of Sentinels" in str(error.value)


@given(
    username=st.text(min_size=1, max_size=8),
    password=st.text(min_size=1, max_size=20),
    hosts=st.lists(st.sampled_from(["10.0.0.1", "a.test", "::1"]), min_size=1, max_size=4),
    database=st.integers(0, 15),
)
def test_kombu_reads_what_it_is_given(username: str, password: str, hosts: list[str], database: int) -> None:
    """User, password, database and every host arrive, whatever characters they have."""
    text = ",".join(f"[{host}]:7" if ":" in host else f"{host}:7" for host in hosts)
    url = f"sentinel://{quote(username, safe='')}:{quote(password, safe='')}@{text}/{database}?master=m"
    broker = broker_of(Settings(redis_url=url).store)
    connection = Connection(broker.url, transport_options=broker.transport_options)
    assert (username, password, str(database)) == (
        connection.userid,
        connection.password,
        connection.virtual_host,
    )
    assert "m" == broker.transport_options["master_name"]
    assert len(hosts) == len(broker.url.split(";"))


def test_kombu_gets_tls_and_the_sentinels_password() -> None:
    """With ``sentinels://`` both the servers and the Sentinels are verified, by the files of the settings."""
    settings = Settings(
        redis_url="sentinels://a:1,b:2?sentinel_password=hidden&ssl_check_hostname=false", redis_ca="/ca.pem"
    )
    broker = broker_of(settings.store)
    tls = {"ssl_cert_reqs": "required", "ssl_check_hostname": False, "ssl_ca_certs": "/ca.pem"}
    assert tls == broker.tls
    sentinels = broker.transport_options["sentinel_kwargs"]
    assert {**tls, "ssl": True, "password": "hidden"}.items() <= sentinels.items()


def test_both_passwords_are_masked_in_logs() -> None:
    """As themselves, as the settings know them, and in the text of any URL."""
    assert {"p%40ss-word", "p@ss-word", "s%26ecret-2", "s&ecret-2"} <= set(secrets_of(SecretStr(URL)))
    text = Redaction().text(f"cannot reach {URL}")
    assert "ss-word" not in text
    assert "ecret-2" not in text
    assert text.endswith(f"sentinel_password={MASK}")


def test_a_url_is_shown_without_passwords() -> None:
    """Messages name the primary and the Sentinels."""
    assert "main of a.test:1,b.test:26379,[::1]:3" == str(SentinelAddress.parse(URL))
