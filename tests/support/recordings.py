"""Recorded requests of the vendor's SDKs."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.wire.signed_request import SignedRequest
from tests.paths import RECORDINGS


@dataclass(frozen=True, slots=True)
class Recording:
    """A request of a real SDK, byte for byte."""

    name: str
    data: bytes

    @property
    def request(self) -> SignedRequest:
        """As the verifier sees it."""
        line, *lines = self.data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        method, target, _ = line.decode().split(" ")
        pairs = (header.partition(b":") for header in lines)
        return SignedRequest.of(method, target, [(name.decode(), value.strip()) for name, _, value in pairs])

    @property
    def signed_at(self) -> int:
        """Unix seconds at which its signature begins."""
        return int(self.request.header("authorization").partition("q-sign-time=")[2].partition(";")[0])


def recordings() -> list[Recording]:
    """All recorded requests of the two SDKs to this service."""
    mark = b"raw request bytes follow (CRLF line ends kept) ----\n"
    files = sorted(p for p in RECORDINGS.glob("*.txt") if not p.name.startswith("cmq-"))
    return [Recording(p.stem, p.read_bytes().partition(mark)[2]) for p in files]
