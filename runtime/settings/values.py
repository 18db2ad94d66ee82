"""Types of settings: URLs, networks, credentials, access to buckets, host routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, SecretStr


def _url_with(*schemes: str) -> Callable[[SecretStr | str], SecretStr | str]:
    def check(value: SecretStr | str) -> SecretStr | str:
        """Refuse a malformed URL at the start; the message never holds the URL, which may have a password."""
        try:
            parts = urlsplit(value.get_secret_value() if isinstance(value, SecretStr) else value)
            is_valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid:
            raise ValueError(
                f"this is not a {' or '.join(f'{scheme}://' for scheme in schemes)} URL with host and port; "
                "special characters in its password must be percent-encoded"
            )
        return value

    return check


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


RedisUrl = Annotated[SecretStr, AfterValidator(_url_with("redis", "rediss"))]
HttpUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]
Network = Annotated[str, AfterValidator(_network)]
"""A network in CIDR notation."""


class Credential(BaseModel):
    """A key pair that may sign requests."""

    secret_id: str
    secret_key: SecretStr
    buckets: tuple[str, ...] = ("*",)
    """Bucket names with APPID it may use; ``*`` for all."""
    read_only: bool = False
    token: SecretStr | None = None
    """Session token that must accompany a temporary key."""
    expires_at: int | None = None
    """Unix seconds after which a temporary key is refused."""
    webhook_secrets: tuple[SecretStr, ...] = ()
    """Secrets (``whsec_…``) that sign the callbacks of its jobs; two while rotating."""


class BucketAccess(BaseModel):
    """How one bucket (or ``*``, every other one) is reached over S3."""

    endpoint_url: str | None = None
    """``{region}`` in it becomes the job's region; AWS's own endpoint where not given."""
    access_key: str = ""
    """Empty: taken from the environment, the profile or the instance role."""
    secret_key: SecretStr = SecretStr("")
    region: str | None = None
    """Region for request signing; the job's region where not given."""
    name: str | None = None
    """The bucket's name at the store where it differs from the wire's."""
    path_style: bool = True
    ca_bundle: Path | None = None
    """PEM file of the authorities that may sign the store's certificate; else ``AWS_CA_BUNDLE``,
    ``REQUESTS_CA_BUNDLE`` or the profile's ``ca_bundle``, or the public ones."""


class HostRoute(BaseModel):
    """What a host name that carries no bucket stands for."""

    bucket: str | None = None
    region: str
