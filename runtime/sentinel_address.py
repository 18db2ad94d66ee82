"""Addresses of servers behind Sentinel: ``sentinel://user:password@host1:26379,host2:26379/0?master=name``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SCHEMES: Final = frozenset({"sentinel", "sentinels"})
"""``sentinels`` uses TLS, to the Sentinels and to the servers that they name."""

_PORT: Final = 26379
_MASTER: Final = "mymaster"
_OWN_PARAMETERS: Final = frozenset({"master", "sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where to ask for the primary, and how to log in to it."""

    sentinels: tuple[tuple[str, int], ...]
    """Host and port of each Sentinel."""
    master: str
    """Name of the primary in the Sentinels' configuration."""
    database: int
    username: str
    password: str
    sentinel_username: str
    sentinel_password: str
    has_tls: bool
    parameters: dict[str, str]
    """All other parameters of the URL: ``ssl_…``."""

    @classmethod
    def parse(cls, url: str) -> SentinelAddress:
        """Read a URL.

        The hosts are separated by commas. Kombu's form, whole URLs separated by semicolons, is read as well;
        user, password, database and parameters are then those of the URLs that have them.

        Raises:
            ValueError: It is not the URL of Sentinels; the message does not contain it.
        """
        urls = [urlsplit(each) for each in url.split(";")]
        (scheme, *others) = dict.fromkeys(each.scheme for each in urls)
        if others or scheme not in SCHEMES:
            raise ValueError("it must begin with sentinel:// or sentinels://")
        login = next((each.netloc.rpartition("@")[0] for each in urls if "@" in each.netloc), "")
        username, _, password = login.partition(":")
        hosts = [host for each in urls for host in each.netloc.rpartition("@")[2].split(",")]
        parameters = dict(
            pair for each in urls for pair in parse_qsl(each.query, strict_parsing=bool(each.query))
        )
        unknown = [name for name in parameters if name not in _OWN_PARAMETERS and not name.startswith("ssl_")]
        if unknown:
            raise ValueError(f"its parameters may be {', '.join(sorted(_OWN_PARAMETERS))} and ssl_…")
        path = next((each.path.strip("/") for each in urls if each.path.strip("/")), "0")
        if not (path.isascii() and path.isdigit()):
            raise ValueError("its path must be the number of a database")
        return cls(
            sentinels=tuple(map(_host_and_port, hosts)),
            master=parameters.get("master", _MASTER),
            database=int(path),
            username=unquote(username),
            password=unquote(password),
            sentinel_username=parameters.get("sentinel_username", ""),
            sentinel_password=parameters.get("sentinel_password", ""),
            has_tls=scheme == "sentinels",
            parameters={name: text for name, text in parameters.items() if name not in _OWN_PARAMETERS},
        )

    def sentinel_login(self) -> dict[str, str]:
        """Return the arguments ``username`` and ``password`` of connections to the Sentinels."""
        login = {"username": self.sentinel_username, "password": self.sentinel_password}
        return {name: text for name, text in login.items() if text}

    def kombu_url(self) -> str:
        """Return the address as Kombu reads it; the name of the primary is a transport option there."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        return ";".join(
            f"sentinel://{login}{_bracketed(host)}:{port}/{self.database}" for host, port in self.sentinels
        )

    def __str__(self) -> str:
        """Return what may be shown: the name and the Sentinels, without passwords."""
        return f"{self.master} of {','.join(f'{_bracketed(host)}:{port}' for host, port in self.sentinels)}"


def is_sentinel(url: str) -> bool:
    """Return whether a URL is that of Sentinels."""
    return url.partition("://")[0] in SCHEMES


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    port = parts.port
    if not parts.hostname or port == 0:
        raise ValueError("each Sentinel needs a host, and a port between 1 and 65535")
    return parts.hostname, port or _PORT


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
