"""Signatures, verified by the library that receivers use."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from stemline.callbacks.webhook_signature import TOLERANCE_S, signed_headers, verified

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret, as long.").decode()


def accepts(secret, body, headers) -> bool:
    """Return whether the Standard Webhooks library accepts the signature."""
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("body", [b'{"a":"\xe6\xad\x8c"}', b"<Response><A>1</A></Response>"])
def test_the_library_accepts_our_signature(body):
    """The Standard Webhooks library accepts our signature of a JSON and of an XML body."""
    headers = signed_headers("d1", int(time.time()), body, [SECRET])
    assert accepts(SECRET, body, headers)


def test_two_secrets_are_both_accepted():
    """With two secrets, receivers with either of them accept."""
    headers = signed_headers("d1", int(time.time()), b"{}", [SECRET, OTHER])
    assert [True, True] == [accepts(secret, b"{}", headers) for secret in (SECRET, OTHER)]


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_nothing_can_be_changed(change):
    """Another body, id, time or secret is refused."""
    headers = signed_headers("d1", int(time.time()), b"{}", [SECRET])
    if change == "id":
        headers["webhook-id"] = "d2"
    if change == "timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    assert not accepts(OTHER if change == "secret" else SECRET, b"[]" if change == "body" else b"{}", headers)


def test_without_secret_nothing_is_added():
    """Without secrets there are no signature headers."""
    assert {} == signed_headers("d1", 0, b"{}", [])


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", ""])
def test_an_invalid_secret_is_an_error(secret):
    """A secret that cannot sign is an error, not a weak signature."""
    with pytest.raises(ValueError, match=r"secret|base64|padding"):
        signed_headers("d1", 0, b"{}", [secret])


@pytest.mark.parametrize(
    ("age_s", "accepted"), [(0, True), (TOLERANCE_S, True), (-TOLERANCE_S, True), (301, False), (-301, False)]
)
def test_a_signature_is_accepted_for_five_minutes_on_both_sides(age_s, accepted):
    """An old request is not accepted again, and none is valid from a time to come on."""
    headers = signed_headers("d1", 1000, b"{}", [SECRET])
    assert accepted is verified(headers, b"{}", [SECRET], now_s=1000 + age_s)


def test_one_of_several_secrets_and_signatures_is_enough():
    """While one secret replaces the other, either of both sides may be the one that fits."""
    ours, both = [SECRET], [OTHER, SECRET]
    assert verified(signed_headers("d1", 5, b"{}", both), b"{}", ours, now_s=5)
    assert verified(signed_headers("d1", 5, b"{}", ours), b"{}", both, now_s=5)
    assert not verified(signed_headers("d1", 5, b"{}", [OTHER]), b"{}", ours, now_s=5)
    assert not verified(signed_headers("d1", 5, b"{}", ours), b"{}", [], now_s=5)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "d2"},
        {"webhook-timestamp": "6"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "-5"},
        {"webhook-timestamp": "\u0665"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "\u0665"},
    ],
)
def test_what_was_changed_or_is_missing_is_not_accepted(change):
    """Headers that do not belong to the body are refused, whatever they hold."""
    headers = signed_headers("d1", 5, b"{}", [SECRET])
    assert verified(headers, b"{}", [SECRET], now_s=5)
    assert not verified(headers | change, b"{}", [SECRET], now_s=5)
    assert not verified(headers, b"[]", [SECRET], now_s=5)
