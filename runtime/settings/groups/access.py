"""Who may send requests: hosts, credentials, rates."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from stemline.runtime.settings.groups.group import Group, setting
from stemline.runtime.settings.values import HostRoute, KeyPairs, Region


class HostSettings(Group):
    """Which bucket and region a host name stands for."""

    region: Region = setting("ap-chongqing", "The installation's own region.")
    regions: tuple[Region, ...] = setting(
        (), "Further regions that clients may name, besides those of endpoint_suffixes and hosts, JSON list."
    )
    suffixes: dict[str, Region] = setting(
        {},
        "Endpoint suffix to region, JSON: `<bucket>.<suffix>` is that bucket in that region.",
        variable="endpoint_suffixes",
    )
    routes: dict[str, HostRoute] = setting(
        {}, 'Other host names to bucket and region, JSON; `"*"` for every unknown host.', variable="hosts"
    )

    @cached_property
    def allowed_regions(self) -> frozenset[str]:
        """Every region that a client may name."""
        routes = (route.region for route in self.routes.values())
        return frozenset({self.region, *self.regions, *self.suffixes.values(), *routes})


class AccessSettings(Group):
    """Who may send requests, and how many."""

    credentials: KeyPairs = setting((), "Key pairs that may sign, JSON list.")
    credentials_file: Path | None = setting(
        None, "A JSON file with more of them; it is read again when it changes."
    )
    anonymous: bool = setting(
        False,
        "Accept requests without a signature, except from pages of other sites and under unknown host names.",
        variable="anonymous_access",
    )
    require_signed_host: bool = setting(
        True, "Refuse signatures that do not cover Host; the Python SDK's `SignHost=False` needs false."
    )
    signature_max_span_s: int = setting(86400, "Longest time for which a signature may be valid, s.", ge=60)
    clock_tolerance_s: int = setting(900, "How far in the future a signature may begin, s.", ge=0)
    nonces_per_credential: int = setting(
        250_000, "Nonces of a credential that are remembered until their signatures have expired.", ge=1
    )
    models: tuple[str, ...] = setting(
        (),
        "Patterns of the models that jobs and templates may name (`Model`), JSON list; a credential may have "
        "its own.",
        variable="request_models",
    )
    rate_limit_per_s: float = setting(20.0, "Requests per second and credential; 0 is no limit.", ge=0)
    rate_limit_burst: int = setting(1000, "Requests above the rate that are let through.", ge=1)
