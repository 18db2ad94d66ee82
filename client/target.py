"""Which service a client talks to, and with which keys: arguments, variables, a local stack or a profile."""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from stemline.client.errors import InvalidTarget, NotConfigured
from stemline.jobs.reasons import reason_of

VARIABLES: Final[Mapping[str, str]] = {
    "api": "STEMLINE_API",
    "secret_id": "STEMLINE_SECRET_ID",
    "secret_key": "STEMLINE_SECRET_KEY",
    "session_token": "STEMLINE_SESSION_TOKEN",
    "bucket": "STEMLINE_BUCKET",
    "region": "STEMLINE_REGION",
}
BUCKET_NAME: Final = re.compile(r"[a-z0-9-]+-[0-9]+")
REGION_NAME: Final = re.compile(r"[a-z0-9-]+")
PROFILE_VARIABLE: Final = "STEMLINE_PROFILE"
DEFAULT_PROFILE: Final = "default"
_S3: Final = {"endpoint_url": "s3_endpoint_url", "access_key": "s3_access_key", "secret_key": "s3_secret_key"}
_HINT: Final = (
    "no service is known: start one here with `stemline up`, or name one with `stemline login`, "
    "with --api, --secret-id, --secret-key, --bucket and --region, or with variables such as STEMLINE_API"
)


@dataclass(frozen=True, slots=True)
class S3Access:
    """How the client reaches the bucket itself, to send sources and to fetch stems."""

    endpoint_url: str = ""
    """AWS's own, or that of the usual AWS variables, if empty."""
    access_key: str = ""
    """Taken from the usual AWS variables and files if empty."""
    secret_key: str = field(default="", repr=False)
    path_style: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """A service, a key pair and a bucket."""

    api: str
    """URL of the API."""
    secret_id: str = ""
    """Requests are not signed if empty."""
    secret_key: str = field(default="", repr=False)
    bucket: str = ""
    region: str = ""
    session_token: str = field(default="", repr=False)
    """Of a temporary key."""
    host: str = ""
    """The Host header, where it is not that of the URL."""
    ca_file: str = ""
    """PEM file of the authorities to trust; the system's if empty."""
    s3: S3Access | None = None
    """``None``: stems are fetched through links that the service signs."""
    origin: str = "the arguments"
    """Where the above was found, for messages."""
    is_local: bool = False
    """Whether it is a stack of this machine, whose bucket is there."""

    def __post_init__(self) -> None:
        """Check the address, the keys, and the bucket, which the service would take for its own otherwise.

        Raises:
            InvalidTarget: It is no URL, or a key, the bucket or its region cannot be named in a request.
        """
        try:
            parts = urlsplit(self.api)
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            is_url = False
        if not is_url:
            raise InvalidTarget(f"{self.api} is not the URL of an API: it begins with http:// or https://")
        if "@" in parts.netloc:
            raise InvalidTarget("the URL of an API holds no user and no password: its requests are signed")
        for what, value in (("SecretId", self.secret_id), ("session token", self.session_token)):
            if not (value.isascii() and value.isprintable()):
                raise InvalidTarget(f"the {what} has characters that no key has")
        if not self.bucket:
            return
        if not BUCKET_NAME.fullmatch(self.bucket):
            raise InvalidTarget(
                f"{self.bucket!r} is not the name of a bucket with its APPID, such as media-1250000000"
            )
        if (self.secret_id or self.region) and not REGION_NAME.fullmatch(self.region):
            raise InvalidTarget(
                f"{self.region!r} is not the name of a region"
                if self.region
                else f"the region of the bucket {self.bucket} is missing: --region names it"
            )


def find(
    given: Mapping[str, str] | None = None, *, profile: str = "", environment: Mapping[str, str] | None = None
) -> Target:
    """Return the service to talk to.

    The first of these that names an API decides: the arguments and variables, the profile that is asked for,
    the stack that runs here, the default profile. Arguments and variables replace single values of it.

    Args:
        given: Values by the names of the fields of :class:`Target`; empty ones count as not given.
        profile: Name of a profile; else that of ``STEMLINE_PROFILE``.
        environment: Variables; those of the process by default.

    Raises:
        NotConfigured: Nothing is configured, or the profile does not exist.
    """
    env = os.environ if environment is None else environment
    named = profile or env.get(PROFILE_VARIABLE, "")
    values = {name: env[variable] for name, variable in VARIABLES.items() if env.get(variable)}
    values |= {name: value for name, value in (given or {}).items() if value}
    if "api" in values and not named:
        texts: dict[str, Any] = dict(values)
        return Target(**texts, origin="the arguments and variables", s3=_s3_of(env))
    found = _profile(named, env) if named else running_stack(env) or _profile(DEFAULT_PROFILE, env)
    if found is None:
        raise NotConfigured(_no_profile(named, env) if named else _HINT)
    if "region" in values and not named and "region" not in (given or {}):
        del values["region"]  # STEMLINE_REGION is also a setting of the service itself
    changes: dict[str, Any] = dict(values)
    return replace(found, **changes)


def running_stack(environment: Mapping[str, str] | None = None) -> Target | None:
    """Return the local stack that runs in this folder, in one above it or beside this environment."""
    document = stack_document(environment)
    if document is None or "api" not in document[1]:
        return None
    file, values = document
    return target_of_stack(values, origin=f"the local stack of {file.parent}")


def stack_document(environment: Mapping[str, str] | None = None) -> tuple[Path, dict[str, Any]] | None:
    """Return the ``stack.json`` of :func:`running_stack`, and where it is."""
    env = os.environ if environment is None else environment
    for home in _homes(env):
        file = home / "stack.json"
        try:
            document = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "redis_url" in document and _runs(document):
            return file, document
    return None


def target_of_stack(document: Mapping[str, Any], *, origin: str = "the local stack") -> Target:
    """Return the target of a ``stack.json``."""
    s3 = document["s3"]
    return Target(
        api=document["api"],
        secret_id=document["secret_id"],
        secret_key=document["secret_key"],
        bucket=document["bucket"],
        region=document["region"],
        ca_file=document.get("ca_file", ""),
        s3=S3Access(s3["endpoint_url"], s3["access_key"], s3["secret_key"]),
        origin=origin,
        is_local=True,
    )


def profiles_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return the file of the profiles."""
    env = os.environ if environment is None else environment
    config = env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or _home()) / ".config"
    return Path(config) / "stemline" / "profiles.ini"


def profile_names(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of the profiles that are stored.

    Raises:
        NotConfigured: Their file cannot be read.
    """
    return _read_profiles(profiles_file(environment)).sections()


def _no_profile(name: str, env: Mapping[str, str]) -> str:
    """Return what is said of a profile that does not exist."""
    known = ", ".join(profile_names(env))
    only = f", only {known}" if known else ""
    return f"there is no profile {name} in {profiles_file(env)}{only}; `stemline login {name}` stores it"


def _home() -> Path:
    """Return the home directory of the user; the root directory, as systems do, if it has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def save_profile(name: str, target: Target, environment: Mapping[str, str] | None = None) -> Path:
    """Write a profile, readable by its owner only, and return the file.

    Raises:
        InvalidTarget: The file cannot hold the name or a value.
    """
    if not name or name != name.strip() or not name.isprintable() or set(name) & set("[]"):
        raise InvalidTarget(f"{name!r} is not the name of a profile: letters and digits, no brackets")
    file = profiles_file(environment)
    parser = _read_profiles(file)
    names = ("api", "secret_id", "secret_key", "session_token", "bucket", "region", "host", "ca_file")
    values = {each: getattr(target, each) for each in names}
    if target.ca_file:
        values["ca_file"] = str(Path(target.ca_file).absolute())
    if target.s3 is not None:
        values |= {theirs: getattr(target.s3, ours) for ours, theirs in _S3.items()}
        values["s3_path_style"] = "yes" if target.s3.path_style else "no"
    section = {each: value for each, value in values.items() if value}
    if unprintable := [each for each, value in section.items() if not value.isprintable()]:
        raise InvalidTarget(f"{unprintable[0]} has characters that a profile cannot hold")
    parser[name] = section
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        parser.write(out)
    partial.replace(file)
    return file


def _runs(document: Mapping[str, Any]) -> bool:
    """Whether the process that wrote the file is there; after `kill -9` its file stays behind."""
    try:
        os.kill(int(document["pids"]["stack"]), 0)
    except ProcessLookupError:
        return False
    except (KeyError, TypeError, ValueError, OSError):
        pass
    return True


def _homes(env: Mapping[str, str]) -> Iterable[Path]:
    if env.get("STEMLINE_HOME"):
        yield Path(env["STEMLINE_HOME"])
        return
    try:
        here = Path.cwd()
    except FileNotFoundError:
        here = Path("/")
    for folder in (here, *here.parents, Path(sys.prefix).parent):
        yield folder / ".stemline"


def _profile(name: str, env: Mapping[str, str]) -> Target | None:
    file = profiles_file(env)
    parser = _read_profiles(file)
    if name not in parser or "api" not in parser[name]:
        return None
    section: dict[str, Any] = dict(parser[name])
    s3 = {ours: section.pop(theirs, "") for ours, theirs in _S3.items()}
    path_style = section.pop("s3_path_style", "yes") == "yes"
    access = S3Access(**s3, path_style=path_style) if any(s3.values()) else _s3_of(env)
    known = {each: value for each, value in section.items() if each in Target.__dataclass_fields__}
    return Target(**known, s3=access, origin=f"the profile {name} of {file}")


def _read_profiles(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        parser.read(file)
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{file} cannot be read: {reason_of(error)}") from None
    return parser


def _s3_of(env: Mapping[str, str]) -> S3Access | None:
    """Return access by the usual AWS variables, if they are set."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if not any(env.get(name) for name in names):
        return None
    return S3Access(path_style=bool(env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")))
