"""Arbitrary texts as URLs, and addresses in every spelling."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from stemline.callbacks.address_guard import AddressGuard, AddressRefused
from stemline.callbacks.connection import Deadline, checked_addresses
from stemline.callbacks.http import BadUrl, parse_url

SPELLINGS: dict[str, Callable[[int], str]] = {
    "dotted": lambda n: str(ipaddress.IPv4Address(n)),
    "decimal": str,
    "hexadecimal": hex,
    "octal": lambda n: f"0{n:o}",
    "dotted octal": lambda n: ".".join(f"0{b:o}" for b in n.to_bytes(4, "big")),
    "dotted hexadecimal": lambda n: ".".join(hex(b) for b in n.to_bytes(4, "big")),
    "two parts": lambda n: f"{n >> 24}.{n & 0xFFFFFF}",
    "three parts": lambda n: f"{n >> 24}.{n >> 16 & 255}.{n & 0xFFFF}",
    "mapped": lambda n: f"::ffff:{ipaddress.IPv4Address(n)}",
    "mapped hexadecimal": lambda n: f"::ffff:{n >> 16:x}:{n & 0xFFFF:x}",
}
INNER = (
    "127.0.0.1",
    "10.0.0.1",
    "172.20.1.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
)


@given(number=st.integers(0, 2**32 - 1), spelling=st.sampled_from(sorted(SPELLINGS)))
def test_every_spelling_of_an_address_has_the_same_verdict(number, spelling):
    """The guard's verdict is the same for every spelling that the system's resolver accepts."""
    plain = str(ipaddress.IPv4Address(number))
    written = SPELLINGS[spelling](number)
    assert _verdict(plain) == _verdict(written), written


def test_inner_addresses_are_refused_in_every_spelling():
    """Loopback, private and metadata addresses are refused in every spelling."""
    for plain in INNER:
        for spelling, write in SPELLINGS.items():
            assert not _verdict(write(int(ipaddress.IPv4Address(plain)))), (plain, spelling)


@given(
    st.one_of(
        st.text(), st.text().map("http://{}".format), st.from_regex(r"https?://[^/]*/.*", fullmatch=True)
    )
)
@example("http://[::1")
@example("http://a@b@c/")
@example("http://℀.example/")
@example("http://.../")
@example("http://x:0x10/")
def test_any_text_is_parsed_or_refused(text):
    """Any text is either refused with BadUrl or parsed into a host and a target of printable ASCII."""
    target = _parsed(text)
    assert target is None or (
        target.host
        and target.authority.isascii()
        and target.target.startswith(b"/")
        and all(0x20 < byte < 0x7F for byte in target.target)
    )


def _parsed(text: str):
    try:
        return parse_url(text)
    except BadUrl:
        return None


def _verdict(host: str) -> bool:
    try:
        found = checked_addresses(host, 80, AddressGuard(), Deadline(5))
    except AddressRefused:
        return False
    assert all(family in {socket.AF_INET, socket.AF_INET6} for family, _ in found)
    return True
