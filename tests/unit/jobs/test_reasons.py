"""Why something failed is said in words for people."""

from __future__ import annotations

import errno
import ssl
from types import ModuleType
from urllib.error import URLError

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from stemline.jobs.errors import QueueFull
from stemline.jobs.reasons import UNEXPECTED, reason_of, without_classes
from tests.support.raised import MODULES, OF_TEXTS, classes_in, errors


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_reason_names_a_class(module: ModuleType) -> None:
    """Whatever a library raises, its reason is a few words on one line, without names of classes."""
    assert [] == [reason for error in errors(module) for reason in [reason_of(error)] if not is_plain(reason)]


def test_no_reason_of_the_system_or_of_a_text_has_parts_of_the_code() -> None:
    """The numbers of the system have words; texts that libraries make of causes are left out."""
    assert [] == [reason for error in OF_TEXTS for reason in [reason_of(error)] if not is_plain(reason)]


def is_plain(reason: str) -> bool:
    """Whether a reason is for people."""
    found = classes_in(reason) - {"AccessDenied"}  # a code of S3
    return bool(reason) and reason == " ".join(reason.split()) and not found and "Errno" not in reason


def test_the_classes_are_those_of_all_libraries() -> None:
    """None of the libraries is left out of the tests above."""
    packages = {module.__name__.partition(".")[0] for module in MODULES}
    assert {"amqp", "boto3", "botocore", "httpcore", "httpx", "kombu", "redis", "urllib3"} <= packages
    assert all(any(errors(module)) for module in MODULES)


def caused(error: Exception, *causes: Exception) -> Exception:
    """An error whose cause has the next one as its own."""
    last = error
    for cause in causes:
        last.__cause__ = cause
        last = cause
    return error


REFUSED = ConnectionRefusedError(111, "Connection refused")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")
UNTRUSTED.verify_message = "self-signed certificate"
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied."}}, "ListObjectsV2")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (caused(httpx.ConnectError("x"), REFUSED), "Connection refused"),
        (
            caused(httpx.ConnectError("x"), UNTRUSTED),
            "its certificate is not trusted: self-signed certificate",
        ),
        (httpx.ReadTimeout("x"), "it did not answer in time"),
        (caused(httpx.ReadTimeout("x"), REFUSED), "it did not answer in time"),
        (EndpointConnectionError(endpoint_url="http://a", error=REFUSED), "Connection refused"),
        (DENIED, "the store answered AccessDenied: Access Denied."),
        (QueueFull(), "The queue has reached its limit of waiting jobs."),
        (KeyError("Jobs"), UNEXPECTED),
        (ValueError("the pattern has no name"), "the pattern has no name"),
        (OSError("All connection attempts failed"), "All connection attempts failed"),
    ],
    ids=str,
)
def test_a_reason_says_what_the_system_or_the_service_said(error: Exception, reason: str) -> None:
    """What caused an error of a connection is said; what is a mistake in the code is not put into words."""
    assert reason == reason_of(error)


def test_a_chain_without_an_end_has_a_reason() -> None:
    """Errors that cause each other are followed for some steps only."""
    first, second = httpx.ConnectError("x"), httpx.ConnectError("y")
    first.__cause__, second.__cause__ = second, first
    assert "no connection can be made" == reason_of(first)


@pytest.mark.parametrize(
    "text", ["a ReadTimeoutError", "ssl.SSLError", "<Foo object at 0x1>", "has no attribute"]
)
def test_a_text_with_parts_of_the_code_is_left_out(text: str) -> None:
    """Such a text is for developers."""
    assert not without_classes(f"it failed: {text}")


def test_what_urllib_wraps_is_said() -> None:
    """The reason of a connection is that of the system, without the brackets in which urllib puts it."""
    refused = URLError(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
    assert "Connection refused" == reason_of(refused)
    assert "no connection can be made" == reason_of(URLError("unknown url type: x"))
