"""Mapping of Host headers to buckets and regions (docs/wire/wire.md, 1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stemline.jobs.errors import InvalidHost
from stemline.jobs.tenant import Tenant, is_bucket_name
from stemline.runtime.settings import Settings

_VENDOR = re.compile(
    r"(?:([a-z0-9-]+-[0-9]+)\.(?:ci|cos)|ci)\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)"
)
_BUCKET = re.compile(r"[a-z0-9-]+-[0-9]+")
MAX_HOST_CHARS = 255


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """The region and bucket of a host name."""

    region: str
    bucket: str | None = None

    @property
    def tenant(self) -> Tenant:
        """Return bucket and region as a tenant.

        Raises:
            InvalidHost: The host names no bucket.
        """
        if self.bucket is None:
            raise InvalidHost("This operation needs a bucket in the Host header.")
        return Tenant(self.bucket, self.region)


class HostTable:
    """The host rules of one installation: vendor names, endpoint suffixes, fixed names."""

    def __init__(self, settings: Settings) -> None:
        self._suffixes = {
            normalise_host(suffix): region for suffix, region in settings.hosts.suffixes.items()
        }
        self._hosts = {
            normalise_host(name): ResolvedHost(route.region, route.bucket)
            for name, route in settings.hosts.routes.items()
        }
        self._regions = settings.hosts.allowed_regions

    def resolve(self, host: str) -> ResolvedHost:
        """Return the bucket and region that a Host header names.

        Raises:
            InvalidHost: No rule matches the host, or its region is not one of the settings'.
        """
        name = normalise_host(host)
        route = self._route_of(name) or self._hosts.get("*")
        if not name or len(name) > MAX_HOST_CHARS or route is None:
            raise InvalidHost
        return route

    def names(self, host: str) -> bool:
        """Return whether a rule covers a host by its name, and not only the one for every unknown host.

        Raises:
            InvalidHost: Its region is not one of the settings', or it names no bucket.
        """
        return self._route_of(normalise_host(host)) is not None

    def _route_of(self, name: str) -> ResolvedHost | None:
        """Return what a rule for a name says, if there is one.

        Raises:
            InvalidHost: Its region is not one of the settings', or it names no bucket.
        """
        if match := _VENDOR.fullmatch(name):
            if match[2] not in self._regions:
                raise InvalidHost(f"The region {match[2]} is not served here.")
            if match[1] and not is_bucket_name(match[1]):
                raise InvalidHost("The host names no bucket.")
            return ResolvedHost(region=match[2], bucket=match[1])
        if name in self._suffixes:
            return ResolvedHost(region=self._suffixes[name])
        label, _, rest = name.partition(".")
        if rest in self._suffixes and _names_bucket(label):
            return ResolvedHost(region=self._suffixes[rest], bucket=label)
        return self._hosts.get(name)

    def choose(self, tenant: str) -> ResolvedHost:
        """Return the bucket and region of a tenant, as a header names it.

        Raises:
            InvalidHost: It is malformed, or its region is not one of the settings'.
        """
        region, _, bucket = tenant.partition("/")
        if region not in self._regions or not _names_bucket(bucket):
            raise InvalidHost("X-Stemline-Tenant must name a region of this service and a bucket.")
        return ResolvedHost(region=region, bucket=bucket)


def _names_bucket(text: str) -> bool:
    """Return whether a text is the name of a bucket with its APPID."""
    return bool(_BUCKET.fullmatch(text)) and is_bucket_name(text)


def normalise_host(host: str) -> str:
    """Return a host name in lower case, without port and final dot."""
    return re.sub(r":\d*$", "", host.strip()).lower().removesuffix(".")
