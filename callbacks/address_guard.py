"""The address guard: which addresses a callback may connect to.

The check is made on the address that is then connected to (see ``callbacks.connection``), so neither another
spelling of a host nor DNS rebinding gets around it. The networks are those of IANA's special-purpose
registries, plus the metadata addresses of cloud providers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA: Final[frozenset[Address]] = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.0.23",  # metadata.tencentyun.com
        "169.254.170.2",  # container credentials
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)

_SPECIAL: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ipaddress.ip_network(text), kind)
    for kind, texts in {
        "unspecified": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
        "shared (carrier-grade NAT)": ("100.64.0.0/10",),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "documentation": (
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "2001:db8::/32",
            "3fff::/20",
        ),
        "reserved": (
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "240.0.0.0/4",
            "64:ff9b:1::/48",  # where the IPv4 address is depends on the network (RFC 8215)
            "100::/64",
            "2001::/23",
            "5f00::/16",
        ),
    }.items()
    for text in texts
)
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""Upper half of the interface identifier of an ISATAP address (RFC 5214, section 6.1)."""


class AddressRefused(Exception):
    """The address is not allowed for callbacks."""


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Allows public addresses, and those in the networks the operator has allowed."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def allowing(cls, networks: Iterable[str]) -> AddressGuard:
        """Return a guard that also allows these networks (CIDR)."""
        return cls(tuple(ipaddress.ip_network(text, strict=False) for text in networks))

    def check(self, address: str) -> None:
        """Check one address.

        Args:
            address: An IP address as the socket layer returns it, possibly with a zone (``%eth0``).

        Raises:
            AddressRefused: It is not public and in no allowed network; the message says why.
        """
        for ip in reached(ipaddress.ip_address(address.partition("%")[0])):
            kind = special_kind(ip)
            if kind is not None and not any(_allows(network, ip) for network in self.allowed):
                raise AddressRefused(f"{ip} is a {kind} address")


def reached(ip: Address) -> tuple[Address, ...]:
    """Return the addresses that a packet to an address may end at.

    An address that only stands for an IPv4 one (mapped, compatible, 6to4, NAT64) gives that one; an ISATAP
    address gives itself and the one inside. Teredo and other translations are special networks.
    """
    if isinstance(ip, IPv4Address):
        return (ip,)
    number = int(ip)
    inside = IPv4Address(number & 0xFFFFFFFF)
    if ip.ipv4_mapped or ip in _NAT64 or 0xFFFF < number <= 0xFFFFFFFF:
        return (inside,)
    if ip.sixtofour:
        return (ip.sixtofour,)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return (ip, inside)
    return (ip,)


def special_kind(ip: Address) -> str | None:
    """Return why an address is not public, such as ``loopback``; ``None`` for a public one."""
    if ip in _METADATA:
        return "metadata"
    for network, kind in _SPECIAL:
        if ip in network:
            return kind
    return None if isinstance(ip, IPv4Address) or ip in _GLOBAL_UNICAST else "reserved"


def _allows(network: Network, ip: Address) -> bool:
    """Return whether a network allows an address; metadata addresses must be allowed one by one."""
    return ip in network and (ip not in _METADATA or network.num_addresses == 1)
