"""Which certificates the vendor's SDKs check, in each way that leads to a server with one of a private CA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from qcloud_cos import CosClientError, CosConfig, CosS3Client

from stemline.deploy.local.certificates import Certificates, issue
from stemline.testing.api_server import ApiServer
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.compat.test_node_sdk import HOST, Node
from tests.compat.test_python_sdk import JOB, VENDOR


@dataclass(frozen=True)
class Trust:
    """A server with a certificate, and two authorities: its own, and one that it has nothing to do with."""

    port: int
    own: Path
    other: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, Path]:
    """What `make up TLS=1` makes, twice."""
    own, other = (issue(tmp_path_factory.mktemp("tls"), REGION) for _ in range(2))
    return own, other.authority


@pytest.fixture
def trust(serve: Callable[..., ApiServer], certificates: tuple[Certificates, Path]) -> Trust:
    own, other = certificates
    server = serve(tls_certificate=own.chain, tls_key=own.key)
    return Trust(server.port, own.authority, other)


PYTHON: dict[str, Callable[[int], dict[str, Any]]] = {
    "IP and Port": lambda p: {"IP": "127.0.0.1", "Port": p, "Endpoint": VENDOR},
    "EndpointCi": lambda p: {"EndpointCi": f"{VENDOR}:{p}"},
}


def python_outcome(options: dict[str, Any]) -> str:
    """`created`, or the name of the error."""
    session = requests.Session()
    config = CosConfig(Region=REGION, SecretId=SECRET_ID, SecretKey=SECRET_KEY, **options)
    try:
        CosS3Client(config, retry=0, session=session).ci_create_media_jobs(
            BUCKET, JOB, ContentType="application/xml"
        )
    except CosClientError as error:
        return str(error)
    finally:
        session.close()
    return "created"


@pytest.mark.parametrize("way", PYTHON)
def test_python_trusts_the_named_ca_alone(way: str, trust: Trust, names: None, monkeypatch) -> None:
    """Over https the SDK checks the certificate: by VerifySSL, else REQUESTS_CA_BUNDLE, else usual CAs."""
    options = {"Scheme": "https", **PYTHON[way](trust.port)}
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in python_outcome(options)
    assert "created" == python_outcome(options | {"VerifySSL": str(trust.own)})
    assert "CERTIFICATE_VERIFY_FAILED" in python_outcome(options | {"VerifySSL": str(trust.other)})
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust.own))
    assert "created" == python_outcome(options)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust.other))
    assert "CERTIFICATE_VERIFY_FAILED" in python_outcome(options)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_python_with_proxies_checks_nothing(trust: Trust, names: None) -> None:
    """`Proxies` with an https address either fails or sends the job to a server that nobody has checked."""
    proxy = f"https://127.0.0.1:{trust.port}"
    https = {"Scheme": "https", "Proxies": {"https": proxy}, "VerifySSL": str(trust.own)}
    assert "Tunnel connection failed: 400" in python_outcome(https)
    unchecked = {"Scheme": "http", "Proxies": {"http": proxy}, "VerifySSL": str(trust.other)}
    assert "created" == python_outcome(unchecked)


NODE: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "Url": (lambda p: {}, "https://127.0.0.1:{port}"),
    "Ip with a port": (lambda p: {"Ip": f"127.0.0.1:{p}"}, f"https://{HOST}"),
    "Proxy, an http Url": (lambda p: {"Proxy": f"https://127.0.0.1:{p}"}, f"http://{HOST}"),
}


def node_outcome(folder: Path, options: dict[str, Any], base: str) -> str:
    """Code of the service's answer, or of the SDK's error."""
    keys = {"SecretId": SECRET_ID, "SecretKey": SECRET_KEY}
    with Node(folder, keys | options, base) as node:
        error = node.raw("GET", "/jobs")["error"]  # without the tag that a list needs
    return f"{error['code']} {error['message']}"


@pytest.mark.parametrize("way", NODE)
def test_node_trusts_the_named_ca_alone(way: str, trust: Trust, installed: Path, monkeypatch) -> None:
    """Over https the SDK checks the certificate, against the usual authorities and NODE_EXTRA_CA_CERTS."""
    options, base = NODE[way]
    found = []
    for authority in ("", str(trust.own), str(trust.other)):
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", authority)
        found.append(node_outcome(installed, options(trust.port), base.format(port=trust.port)))
    refused = "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
    assert [refused, "InvalidArgument", refused] == [each.split()[0] for each in found]


def test_node_with_proxy_and_https_fails(trust: Trust, installed: Path, monkeypatch) -> None:
    """`Proxy` with an https Url asks for a tunnel in the name of a host that no certificate has."""
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(trust.own))
    options = {"Proxy": f"https://127.0.0.1:{trust.port}"}
    assert "tunneling socket could not be established" in node_outcome(installed, options, f"https://{HOST}")
