"""The address guard in deliveries: refused addresses are not connected to, and the attempt says why."""

from __future__ import annotations

import base64
import socket
import threading
import time

import pytest
from standardwebhooks import Webhook

from stemline.callbacks import connection
from stemline.testing.receiver import answer, receiving


@pytest.fixture
def names(monkeypatch):
    """DNS names of the test, each with a list of answers; the last one is repeated."""
    answers: dict[str, list[list[str]]] = {}
    real = connection.resolve

    def resolve(host, port):
        if host not in answers:
            return real(host, port)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, (a, port)) for a in found]

    monkeypatch.setattr(connection, "resolve", resolve)
    return answers


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "public.example@127.0.0.1",
        "127.0.0.1.",
        "１２７.0.0.1",  # noqa: RUF001
        "①②⑦.0.0.1",
    ],
)
def test_no_spelling_of_loopback_is_called(bench, host):
    """Every spelling of loopback is refused with the reason, and no connection is made."""
    bench = bench(callback_allow_networks=())
    with receiving() as receiver:
        after = bench.try_(bench.post_to(f"http://{host}:{receiver.port}/"))
        assert "refused" == after.attempts[0].status
        assert "address" in after.attempts[0].answer
        assert ("pending", 0) == (after.status, receiver.connections)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("169.254.169.254", "metadata"),
        ("10.0.0.5", "private"),
        ("fe80::1", "link-local"),
        ("239.1.1.1", "multicast"),
    ],
)
def test_names_that_resolve_to_internal_addresses_are_refused(bench, names, address, kind):
    """A name is refused if it resolves to an address that is not public."""
    names["inner.example"] = [[address]]
    after = bench().try_(bench().post_to("http://inner.example/"))
    assert "refused" == after.attempts[0].status
    assert kind in after.attempts[0].answer


def test_a_name_that_changes_after_the_check(bench, names):
    """The connection goes to the address that was checked, so DNS rebinding has no effect."""
    bench = bench(callback_allow_networks=("127.0.0.2/32",))
    with receiving() as receiver:
        # First an allowed address, where nothing listens; from then on one that is not allowed.
        names["rebinding.example"] = [["127.0.0.2"], ["127.0.0.1"]]
        delivery = bench.post_to(f"http://rebinding.example:{receiver.port}/")
        assert "unreachable" == bench.try_(delivery).attempts[0].status
        bench.clock.advance(5)
        assert "refused" == bench.try_(delivery).attempts[1].status
        assert 0 == receiver.connections


def test_a_refused_address_beside_an_allowed_one_is_left_out(bench, names):
    """Of several addresses only the allowed ones are connected to, in their order."""
    bench = bench(callback_allow_networks=("127.0.0.1/32",))
    with receiving() as receiver:
        names["both.example"] = [["127.0.0.3", "10.0.0.1", "127.0.0.1"]]
        assert "delivered" == bench.try_(bench.post_to(f"http://both.example:{receiver.port}/")).status
    assert f"both.example:{receiver.port}" == receiver.received[0].headers["host"]


def test_an_unknown_name(bench):
    """A name that does not resolve has its own status."""
    after = bench().try_(bench().post_to("http://no-such-host.invalid/"))
    assert "dns" == after.attempts[0].status


def test_a_resolver_that_hangs_is_cut_off(bench, monkeypatch):
    """The timeout of a delivery includes the name's resolution."""
    over = threading.Event()
    monkeypatch.setattr(connection, "resolve", lambda host, port: over.wait(300))
    bench = bench(callback_timeout_s=0.3)
    began = time.monotonic()
    after = bench.try_(bench.post_to("http://slow.example/"))
    took = time.monotonic() - began
    over.set()
    assert "timeout" == after.attempts[0].status
    assert took < 180


def test_an_invalid_url_is_a_dead_letter_at_once(bench):
    """An invalid URL is not attempted again."""
    after = bench().try_(bench().post_to("http://example.com:99999/"))
    assert ("dead", "bad-url") == (after.status, after.attempts[0].status)


def test_proxies_of_the_environment_are_not_used(bench, monkeypatch):
    """Proxies of the environment are ignored; a configured one is used, and the guard checks what it can."""
    with receiving(answer(502)) as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        one = bench()
        assert "delivered" == one.try_(one.post_to(receiver.url)).status
        assert 0 == proxy.connections

        two = bench(callback_proxy=f"http://127.0.0.1:{proxy.port}")
        delivery = two.post_to("http://public.invalid/hook")
        assert "502" == two.try_(delivery).attempts[0].status
        assert "http://public.invalid/hook" == proxy.received[0].target

        three = bench(callback_proxy=f"http://127.0.0.1:{proxy.port}", callback_allow_networks=())
        assert "refused" == three.try_(three.post_to(receiver.url)).attempts[0].status
        assert 1 == proxy.connections


def test_signed_with_the_submitters_secrets(bench):
    """Each attempt verifies with either of the credential's two secrets; all attempts have the same id."""
    old, new = ("whsec_" + base64.b64encode(text * 8).decode() for text in (b"old", b"new"))
    credential = {"secret_id": "A", "secret_key": "k", "webhook_secrets": [old, new]}
    bench = bench(credentials=[credential])
    bench.clock.now = round(time.time() * 1e6)
    with receiving(answer(500), answer(200)) as receiver:
        delivery = bench.post_to(receiver.url, credential="A")
        bench.try_(delivery)
        bench.clock.advance(5)
        bench.try_(delivery)
    for request in receiver.received:
        for secret in (old, new):
            assert "TaskFinish" == Webhook(secret).verify(request.body, dict(request.headers))["EventName"]
    first, second = (r.headers for r in receiver.received)
    assert delivery.id == first["webhook-id"] == second["webhook-id"]
    assert 5 == int(second["webhook-timestamp"]) - int(first["webhook-timestamp"])


def test_an_invalid_secret_sends_nothing(bench):
    """With an invalid secret nothing is sent, and the record does not contain the secret."""
    bench = bench(webhook_secrets=["whsec_!!"])
    with receiving() as receiver:
        after = bench.try_(bench.post_to(receiver.url))
    assert ("unsigned", 0) == (after.attempts[0].status, receiver.connections)
    assert "!!" not in after.attempts[0].answer
