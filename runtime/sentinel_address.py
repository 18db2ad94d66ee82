"""Addresses of servers behind Sentinel: ``sentinel://user:password@host1:26379,host2:26379/0?master=name``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SCHEMES: Final = frozenset({"sentinel", "sentinels"})
"""``sentinels`` uses TLS, to the Sentinels and to the servers that they name."""

_PORT: Final = 26379
_MASTER: Final = "mymaster"
_URL: Final = re.compile(
    r"(?P<scheme>sentinels?)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?:/(?P<path>[^?#]*?)/?)?(?:\?(?P<query>[^#]*))?"
)
"""Not read by urlsplit: some of its versions refuse brackets behind a comma."""
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
        found = [_URL.fullmatch(each) for each in url.split(";")]
        parts = [each.groupdict() for each in found if each is not None]
        if len(parts) < len(found) or len({each["scheme"] for each in parts}) != 1:
            raise ValueError("it must begin with sentinel:// or sentinels://, followed by hosts")
        username, _, password = next((each["login"] for each in parts if each["login"]), "").partition(":")
        pairs = (parse_qsl(each["query"], strict_parsing=True) for each in parts if each["query"])
        parameters = {name: text for some in pairs for name, text in some}
        if any(name not in _OWN_PARAMETERS and not name.startswith("ssl_") for name in parameters):
            raise ValueError(f"its parameters may be {', '.join(sorted(_OWN_PARAMETERS))} and ssl_…")
        path = next((each["path"] for each in parts if each["path"]), "0")
        if not (path.isascii() and path.isdigit()):
            raise ValueError("its path must be the number of a database")
        hosts = [host for each in parts for host in each["hosts"].split(",")]
        return cls(
            sentinels=tuple(map(_host_and_port, hosts)),
            master=parameters.get("master", _MASTER),
            database=int(path),
            username=unquote(username),
            password=unquote(password),
            sentinel_username=parameters.get("sentinel_username", ""),
            sentinel_password=parameters.get("sentinel_password", ""),
            has_tls=parts[0]["scheme"] == "sentinels",
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
