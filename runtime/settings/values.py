"""Types of settings: URLs, networks, credentials, access to buckets, host routes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from stemline.jobs.policy import Operation
from stemline.runtime.sentinel_address import SCHEMES, SentinelAddress, is_sentinel


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


def _redis_url(value: SecretStr) -> SecretStr | str:
    url = value.get_secret_value()
    if not is_sentinel(url):
        return _url_with("redis", "rediss", *SCHEMES)(value)
    try:
        SentinelAddress.parse(url)
    except ValueError as error:
        raise ValueError(
            "this is not a URL of Sentinels, such as "
            f"sentinel://:password@host1:26379,host2:26379/0?master=name: {error}"
        ) from None
    return value


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


def _region(text: str) -> str:
    if not re.fullmatch("[a-z0-9-]{1,40}", text):
        raise ValueError("a region is 1 to 40 lower-case letters, digits and hyphens")
    return text


Region = Annotated[str, AfterValidator(_region)]
"""A region, which becomes a part of host names."""
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
HttpUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]
Network = Annotated[str, AfterValidator(_network)]
"""A network in CIDR notation."""


class Credential(BaseModel):
    """A key pair that may sign requests, and its policy: what it may do.

    Patterns have ``*`` for any text and ``?`` for one character.
    """

    # A misspelt rule would allow everything.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret_id: str = Field(min_length=1)
    secret_key: SecretStr = Field(min_length=1)
    buckets: tuple[str, ...] = ("*",)
    """Patterns of the buckets (with APPID) it may use, as tenant and as destination."""
    regions: tuple[str, ...] = ("*",)
    """Patterns of the regions it may use, among those of the installation."""
    operations: tuple[Operation, ...] = tuple(Operation)
    """Among ``read submit upload cancel``, and changes of ``queues templates buckets callbacks``."""
    read_only: bool = False
    """Allows only ``read``, among its operations."""
    queues: tuple[str, ...] = ("*",)
    """Patterns of names or ids of the queues it may use and change."""
    mq_regions: tuple[str, ...] = ("*",)
    """Patterns of ``MqRegion``, for callbacks of jobs and queues."""
    mq_names: tuple[str, ...] = ("*",)
    """Patterns of ``MqName``, for callbacks of jobs and queues."""
    models: tuple[str, ...] | None = None
    """Patterns of the models that its jobs and templates may name, instead of those of the settings."""
    max_size: int | None = Field(None, ge=1)
    """Highest MaxSize it may set, instead of that of the settings."""
    max_concurrent: int | None = Field(None, ge=1)
    """Highest MaxConcurrent it may set, instead of that of the settings."""
    max_weight: int | None = Field(None, ge=1, le=1000)
    """Highest Weight of a queue it may set, instead of that of the settings."""
    weight: int | None = Field(None, ge=1, le=1000)
    """Gives its jobs a share of their own in each queue, with so many turns in proportion to others (100)."""
    reuse: bool | None = None
    """Whether its jobs get copies of the stems of equal jobs of their bucket, instead of the setting."""
    rate_limit_per_s: float | None = Field(None, ge=0)
    """Requests per second, instead of that of the settings; 0 is no limit."""
    rate_limit_burst: int | None = Field(None, ge=1)
    """Requests above the rate that are let through, instead of that of the settings."""
    daily_jobs: int | None = Field(None, ge=0)
    """Jobs it may submit on one day by UTC, over all buckets; no limit where not given."""
    daily_audio_s: float | None = Field(None, ge=0)
    """Seconds of audio its jobs may separate on one day; further submissions are refused."""
    require_digest: bool = False
    """Whether its signatures must cover a digest of the body and a nonce."""
    token: SecretStr | None = None
    """Session token that must accompany a temporary key."""
    expires_at: int | None = None
    """Unix seconds after which a temporary key is refused."""
    webhook_secrets: tuple[SecretStr, ...] = ()
    """Secrets (``whsec_…``) that sign the callbacks of its jobs; two while rotating."""

    @property
    def allowed_operations(self) -> frozenset[Operation]:
        """The operations; with ``read_only`` at most ``read``."""
        return frozenset(self.operations) & ({Operation.READ} if self.read_only else frozenset(Operation))


def _distinct(credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
    places: dict[str, int] = {}
    for place, credential in enumerate(credentials):
        if (other := places.setdefault(credential.secret_id, place)) != place:
            raise ValueError(f"entries {other} and {place} have the same secret_id")
    return credentials


KeyPairs = Annotated[tuple[Credential, ...], AfterValidator(_distinct)]
"""Key pairs with ids of their own."""


class BucketAccess(BaseModel):
    """How one bucket (or ``*``, every other one) is reached over S3."""

    # A misspelt name would leave its default.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    endpoint_url: HttpUrl | None = None
    """``{region}`` in it becomes the job's region; AWS's own endpoint where not given."""
    access_key: str = ""
    """Empty: taken from the environment, the profile or the instance role."""
    secret_key: SecretStr = SecretStr("")
    region: str | None = None
    """Region for request signing; the job's region where not given."""
    name: str | None = None
    """The bucket's name at the store where it differs from the wire's."""
    path_style: bool = True
    keeps_files: bool = False
    """Whether the store keeps objects as files in folders, as SeaweedFS does: output names with an empty
    segment, which it folds into others, or one of more than 255 bytes are refused at the submission."""
    ca_bundle: Path | None = None
    """PEM file of the authorities that may sign the store's certificate; else ``AWS_CA_BUNDLE``,
    ``REQUESTS_CA_BUNDLE`` or the profile's ``ca_bundle``, or the public ones."""

    @model_validator(mode="after")
    def _refuse_half_a_key_pair(self) -> Self:
        if bool(self.access_key) != bool(self.secret_key.get_secret_value()):
            raise ValueError("access_key and secret_key are given together, or neither of them")
        return self


class HostRoute(BaseModel):
    """What a host name that carries no bucket stands for."""

    bucket: str | None = None
    region: Region
