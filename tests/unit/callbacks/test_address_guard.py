"""The address guard: which addresses a callback may connect to."""

from __future__ import annotations

import ipaddress
import re

import pytest

from stemline.callbacks.address_guard import AddressGuard, AddressRefused, reached


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd12:3456::1", "private"),
        ("169.254.1.1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("169.254.169.254", "metadata"),
        ("169.254.0.23", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd00:ec2::254%eth0", "metadata"),
        ("100.64.0.1", "shared"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("198.18.0.1", "reserved"),
        ("192.0.2.1", "documentation"),
        ("2001:db8::1", "documentation"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "metadata"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::10.0.0.1", "reserved"),
        ("64:ff9b:1::8.8.8.8", "reserved"),
        ("64:ff9b:1:0a00::1:0:0", "reserved"),
        ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("2002:a9fe:a9fe::1", "metadata"),
        ("2001:0:4136:e378::", "reserved"),
        ("2606:4700::5efe:10.0.0.1", "private"),
        ("2606:4700::200:5efe:127.0.0.1", "loopback"),
        ("fe80::5efe:8.8.8.8", "link-local"),
        ("::ffff:0:10.0.0.1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
        ("4000::1", "reserved"),
        ("::1:0", "unspecified"),
        ("::ffff:ffff", "reserved"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address, kind):
    """Every kind of address that is not public is refused, with its kind as the reason."""
    with pytest.raises(AddressRefused, match=f"is a {re.escape(kind)}"):
        AddressGuard().check(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2606:4700::5efe:8.8.8.8",
        "2002:808:808::1",
    ],
)
def test_public_addresses_pass(address):
    """Public addresses pass, including those next to special networks and embedded ones."""
    AddressGuard().check(address)


def test_allowed_networks_pass():
    """Addresses of an allowed network pass, embedded ones included; others are refused."""
    guard = AddressGuard.allowing(["10.1.0.0/16", "fd12::/16"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "fd12::1%eth0"):
        guard.check(address)
    for address in ("10.2.0.1", "127.0.0.1", "fd13::1"):
        with pytest.raises(AddressRefused):
            guard.check(address)


def test_a_network_may_be_written_with_an_address_in_it():
    """An allowed network is the one that holds the address it is written with."""
    AddressGuard.allowing(["10.1.2.3/16"]).check("10.1.9.9")


def test_metadata_addresses_must_be_allowed_one_by_one():
    """A wide network does not allow the metadata addresses in it; a network of one address does."""
    for wide in ("0.0.0.0/0", "169.254.0.0/16", "169.254.169.0/24", "169.254.169.254/31"):
        with pytest.raises(AddressRefused, match="metadata"):
            AddressGuard.allowing([wide]).check("169.254.169.254")
    AddressGuard.allowing(["169.254.169.254/32"]).check("169.254.169.254")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("::ffff", "::ffff"),
        ("::1:0", "0.1.0.0"),
        ("::ffff:ffff", "255.255.255.255"),
        ("::1:0:0", "::1:0:0"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_the_compatible_range_of_ipv6(address, meant):
    """The IPv4-compatible addresses of IPv6 are those from ::1:0 to ::ffff:ffff."""
    assert (ipaddress.ip_address(meant),) == reached(ipaddress.ip_address(address))
