"""Which service a command or program talks to."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

import stemline.client
from stemline.client.errors import InvalidTarget, NotConfigured
from stemline.client.target import S3Access, Target, find, profiles_file, save_profile

STACK = {
    "api": "http://127.0.0.1:8787",
    "region": "ap-chongqing",
    "bucket": "media-1250000000",
    "secret_id": "AKIDstack",
    "secret_key": "hush",
    "s3": {"endpoint_url": "http://127.0.0.1:8333", "access_key": "a", "secret_key": "b"},
    "redis_url": "redis://127.0.0.1:6390/0",
    "pids": {"stack": os.getpid()},
}


@pytest.fixture
def env(tmp_path, monkeypatch):
    """An environment with nothing in it, in a folder of its own."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    return {"HOME": str(tmp_path / "home")}


def run_stack(tmp_path, **changes):
    (tmp_path / ".stemline").mkdir()
    (tmp_path / ".stemline" / "stack.json").write_text(json.dumps({**STACK, **changes}))


def test_the_running_stack_is_found_from_folders_below(env, tmp_path):
    """A stack that runs in this folder or one above it is used, with its bucket and its keys."""
    run_stack(tmp_path)
    found = find(environment=env)
    assert ("AKIDstack", "media-1250000000", "http://127.0.0.1:8333") == (
        found.secret_id,
        found.bucket,
        found.s3.endpoint_url,
    )
    assert ".stemline" in found.origin


def test_a_stack_that_was_killed_is_not_found(env, tmp_path):
    """The file that `kill -9` leaves behind names no running stack."""
    run_stack(tmp_path, pids={"stack": 2**22 + 1})
    with pytest.raises(NotConfigured, match="stemline up"):
        find(environment=env)


def test_a_profile_is_written_privately_and_read_back(env, tmp_path):
    """Every value of a profile comes back, percent signs too, and nobody else can read the file."""
    saved = Target(
        "https://x.test",
        "id",
        "k%y",
        "media-1250000000",
        "ap-beijing",
        s3=S3Access("https://s3", "a", "b", False),
    )
    file = save_profile("default", saved, env)
    save_profile("other", Target("https://other.test"), env)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    found = find(environment=env)
    assert (saved.api, saved.secret_key, saved.s3) == (found.api, found.secret_key, found.s3)
    assert "https://other.test" == find(profile="other", environment=env).api
    assert "https://other.test" == find(environment={**env, "STEMLINE_PROFILE": "other"}).api


def test_what_is_given_outranks_what_is_found(env, tmp_path):
    """Arguments outrank variables, then come the profile that is named, the stack, the default profile."""
    save_profile("default", Target("https://default.test", bucket="b-1", region="r"), env)
    assert "https://default.test" == find(environment=env).api
    run_stack(tmp_path)
    assert STACK["api"] == find(environment=env).api
    save_profile("mine", Target("https://mine.test", bucket="b-1", region="r"), env)
    assert "https://mine.test" == find(profile="mine", environment=env).api
    env |= {"STEMLINE_API": "https://variable.test", "STEMLINE_SECRET_ID": "v"}
    assert ("https://variable.test", "v") == (find(environment=env).api, find(environment=env).secret_id)
    assert "https://given.test" == find({"api": "https://given.test"}, environment=env).api
    assert "b-2" == find({"bucket": "b-2"}, profile="mine", environment=env).bucket


def test_the_region_of_a_service_is_not_that_of_another(env, tmp_path):
    """STEMLINE_REGION, which a service has too, does not change the region of a stack that is found."""
    run_stack(tmp_path)
    env["STEMLINE_REGION"] = "ap-beijing"
    assert "ap-chongqing" == find(environment=env).region
    assert "ap-guangzhou" == find({"region": "ap-guangzhou"}, environment=env).region
    save_profile("mine", Target("https://mine.test", region="ap-chongqing"), env)
    assert "ap-beijing" == find(profile="mine", environment=env).region
    assert "ap-beijing" == find({"api": "https://given.test"}, environment=env).region


@pytest.mark.parametrize(
    ("bucket", "region", "said"),
    [
        ("Media-1250000000", "ap-chongqing", "not the name of a bucket"),
        ("other_bucket-1250000000", "ap-chongqing", "not the name of a bucket"),
        ("other", "ap-chongqing", "not the name of a bucket"),
        ("other-1250000000 ", "ap-chongqing", "not the name of a bucket"),
        ("other-1250000000\n", "ap-chongqing", "not the name of a bucket"),
        ("other-1250000000", "", "the region of the bucket other-1250000000 is missing"),
        ("other-1250000000", "ap chongqing", "not the name of a region"),
    ],
)
def test_a_bucket_that_no_request_can_name_is_refused(bucket: str, region: str, said: str):
    """The service would answer for its own bucket, and change that one."""
    with pytest.raises(InvalidTarget, match=said):
        Target("https://a.test", "id", "key", bucket, region)


@pytest.mark.parametrize("name", ["", " a", "a]\nb", "[a]", "a\x7f"])
def test_a_profile_that_could_not_be_read_again_is_not_written(env, name: str):
    """The profiles that are there stay as they are."""
    save_profile("mine", Target("https://mine.test"), env)
    with pytest.raises(InvalidTarget, match="name of a profile"):
        save_profile(name, Target("https://other.test"), env)
    with pytest.raises(InvalidTarget, match="secret_key has characters"):
        save_profile("other", Target("https://other.test", "id", "x\n\ny"), env)
    assert "https://mine.test" == find(profile="mine", environment=env).api


def test_a_profile_names_its_authorities_wherever_it_is_used(env, tmp_path, monkeypatch):
    """A relative name of the file is that of the folder in which the profile was stored."""
    monkeypatch.chdir(tmp_path)
    save_profile("mine", Target("https://mine.test", ca_file="ca.pem"), env)
    assert str(tmp_path / "ca.pem") == find(profile="mine", environment=env).ca_file


@pytest.mark.parametrize("content", ["[default\napi", "\xff\xfe", "api = x\n"])
def test_a_file_that_is_no_profile_file_is_named(env, content):
    """A profile file that cannot be read is an error that names it, not a service that is not found."""
    file = profiles_file(env)
    file.parent.mkdir(parents=True)
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(NotConfigured, match=r"profiles\.ini"):
        find(environment=env)


def test_a_profile_that_does_not_exist_is_an_error(env, tmp_path):
    """A misspelt name never falls back to another service."""
    run_stack(tmp_path)
    with pytest.raises(NotConfigured, match="no profile prod"):
        find(profile="prod", environment=env)


@pytest.mark.parametrize("api", ["", "nonsense", "127.0.0.1:8787", "ftp://x", "http://"])
def test_an_address_that_is_no_url_is_said_at_once(env, api):
    """A mistyped address is an error about the address, not about a server that does not answer."""
    with pytest.raises(InvalidTarget, match="is not the URL of an API"):
        Target(api)


def test_secrets_are_not_shown(env):
    """Neither key of a target is in its text, which may reach a log."""
    shown = repr(Target("https://x", "id", "hush-1", s3=S3Access("e", "a", "hush-2"), session_token="hush-3"))
    assert "hush" not in shown


WITHOUT = """
import sys
sys.modules["httpx"] = None
import stemline.client.target
import stemline.cli.local_stack
import stemline.deploy.local.addresses
stemline.cli.local_stack.running_stack()
print("looked")
from stemline.client import Client
"""


def test_an_address_needs_no_http_library(env, monkeypatch):
    """Commands in images, which have no HTTP client, look for a stack; only a client needs one."""
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert "looked" == ran.stdout.strip()
    assert "import of httpx halted" in ran.stderr


def test_names_that_the_package_lacks_are_an_error():
    """A misspelt name of the package is an AttributeError, as of every module."""
    with pytest.raises(AttributeError, match="Cliente"):
        _ = stemline.client.Cliente
    assert all(hasattr(stemline.client, name) for name in stemline.client.__all__)
