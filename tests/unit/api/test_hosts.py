"""From Host headers to tenants."""

from __future__ import annotations

import pytest

from stemline.api.hosts import HostTable, ResolvedHost
from stemline.jobs.errors import InvalidHost
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import HostRoute, Settings

SETTINGS = Settings(
    endpoint_suffixes={"ci.r.example.test": "ap-test", "localhost": "ap-local"},
    hosts={
        "10.0.0.5": HostRoute(bucket="fixed-1250000000", region="ap-fixed"),
        "[::1]": HostRoute(bucket="six-1250000000", region="ap-six"),
        "svc.internal": HostRoute(region="ap-svc"),
    },
    regions=("ap-extra",),
)
TABLE = HostTable(SETTINGS)


@pytest.mark.shows(
    "<bucket>.ci.<region>.myqcloud.com, .tencentcos.cn, .cos.", "own endpoint suffix, fixed names, addresses"
)
@pytest.mark.parametrize(
    ("host", "bucket", "region"),
    [
        ("media-1250000000.ci.ap-chongqing.myqcloud.com", "media-1250000000", "ap-chongqing"),
        ("Media-1250000000.CI.ap-chongqing.MyQcloud.com:8080", "media-1250000000", "ap-chongqing"),
        ("media-1250000000.cos.ap-chongqing.myqcloud.com", "media-1250000000", "ap-chongqing"),
        ("a-b-1250000000.ci.ap-chongqing.tencentcos.cn", "a-b-1250000000", "ap-chongqing"),
        ("media-1250000000.ci.ap-chongqing.myqcloud.com.", "media-1250000000", "ap-chongqing"),
        ("ci.ap-chongqing.myqcloud.com", None, "ap-chongqing"),
        ("ci.ap-chongqing.tencentcos.cn:443", None, "ap-chongqing"),
        ("media-1250000000.ci.r.example.test:8080", "media-1250000000", "ap-test"),
        ("ci.r.example.test:8080", None, "ap-test"),
        ("media-1250000000.ci.ap-extra.myqcloud.com", "media-1250000000", "ap-extra"),
        ("ci.ap-fixed.myqcloud.com", None, "ap-fixed"),
        ("media-1250000000.localhost:1", "media-1250000000", "ap-local"),
        ("10.0.0.5:8080", "fixed-1250000000", "ap-fixed"),
        ("[::1]:8080", "six-1250000000", "ap-six"),
        ("svc.internal", None, "ap-svc"),
    ],
)
def test_hosts(host: str, bucket: str | None, region: str) -> None:
    """Each documented form of a host names its bucket and region."""
    assert ResolvedHost(region=region, bucket=bucket) == TABLE.resolve(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "unknown.example",
        "media.ci.ap-chongqing.myqcloud.com",
        "a.media-1250000000.ci.ap-chongqing.myqcloud.com",
        "media-1250000000.s3.ap-chongqing.myqcloud.com",
        "cos.ap-chongqing.myqcloud.com",
        "media-1250000000.ci.ap_chongqing.myqcloud.com",
        "media-1250000000.ci.ap-chongqing.myqcloud.com.evil.example",
        "nobucket.localhost",
        "media-1250000000.ci.ap-foreign.myqcloud.com",
        "ci.ap-foreign.tencentcos.cn",
        f"media-1250000000.ci.{'a' * 41}.myqcloud.com",
        "x" * 300,
        "media-1250000000/x.localhost",
        "-media-1250000000.ci.ap-chongqing.myqcloud.com",
        f"{'m' * 60}-1250000000.ci.ap-chongqing.myqcloud.com",
        f"{'m' * 60}-1250000000.localhost",
    ],
)
def test_unknown_hosts(host: str) -> None:
    """What cannot be mapped is refused, not guessed."""
    with pytest.raises(InvalidHost):
        TABLE.resolve(host)


def test_any_host() -> None:
    """The host ``*`` stands for every name that no other rule knows."""
    table = HostTable(Settings(hosts={"*": HostRoute(bucket="b-1", region="r")}, regions=("ap-x",)))
    assert ResolvedHost("r", "b-1") == table.resolve("any.name:99")
    assert ResolvedHost("ap-x", "media-1") == table.resolve("media-1.ci.ap-x.myqcloud.com")
    with pytest.raises(InvalidHost, match="The region ap-y is not served here"):
        table.resolve("media-1.ci.ap-y.myqcloud.com")


def test_tenant() -> None:
    """A host without a bucket serves no operation that needs one."""
    assert Tenant("b-1", "r") == ResolvedHost("r", "b-1").tenant
    with pytest.raises(InvalidHost):
        _ = ResolvedHost("r").tenant
