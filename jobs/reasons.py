"""Why something failed, in words for people: no message has the name of a Python class.

The libraries in use are not imported here: the names of their classes are enough to tell what happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stemline.jobs.text import shorten

UNEXPECTED: Final = "an unexpected fault of this program"
"""The reason of what is a mistake in the code: no text of such an error helps a user."""

_REFUSED: Final = "the password or user is refused"
_LATE: Final = "it did not answer in time"
_BROKEN: Final = "the connection broke"
_NO_CONNECTION: Final = "no connection can be made"
_NOT_HTTP: Final = "the answer is not HTTP"
_NOT_REDIS: Final = "the answer is not that of Valkey or Redis"
_NO_URL: Final = "that is no URL that can be asked"
_NO_PROXY: Final = "the proxy does not answer, or refuses"
_NO_TLS: Final = "no secure connection can be made"
_NO_BROKER: Final = "the broker refuses it"
_NOT_AMQP: Final = "the answer of the broker is not one of AMQP"
_NO_KEYS: Final = "no keys are known for it"
_TOO_SLOW: Final = "the connection was not taken in time"

_WORDS: Final[Mapping[str, str]] = {
    # Before what they are derived from is looked up, the classes themselves are.
    "redis.AuthenticationError": _REFUSED,
    "redis.AuthenticationWrongNumberOfArgsError": _REFUSED,
    "redis.AuthorizationError": _REFUSED,
    "redis.NoPermissionError": "the user may not do this there",
    "redis.TimeoutError": _LATE,
    "redis.BusyLoadingError": "it still loads its data",
    "redis.ReadOnlyError": "it is a replica, which takes no changes",
    "redis.OutOfMemoryError": "its memory is full",
    "redis.MaxConnectionsError": "it has as many connections as it takes",
    "redis.MasterNotFoundError": "no Sentinel knows a primary of that name",
    "redis.ModuleError": "a module of it failed",
    "redis.InvalidResponse": _NOT_REDIS,
    "redis.DataError": "it cannot hold such a value",
    "redis.NoScriptError": "it lost a script of Stemline",
    "redis.ConnectionError": _NO_CONNECTION,
    "redis.ResponseError": "",
    "redis.RedisError": "",
    "httpx.ConnectTimeout": _TOO_SLOW,
    "httpx.PoolTimeout": "all connections are in use",
    "httpx.TimeoutException": _LATE,
    "httpx.ProxyError": _NO_PROXY,
    "httpx.ConnectError": _NO_CONNECTION,
    "httpx.NetworkError": _BROKEN,
    "httpx.RemoteProtocolError": "it ended the connection, or its answer is not HTTP",
    "httpx.ProtocolError": _NOT_HTTP,
    "httpx.DecodingError": "the answer cannot be unpacked",
    "httpx.TooManyRedirects": "it redirects without an end",
    "httpx.UnsupportedProtocol": _NO_URL,
    "httpx.InvalidURL": _NO_URL,
    "httpx.HTTPStatusError": "",
    "httpx.CookieConflict": UNEXPECTED,
    "httpx.StreamError": UNEXPECTED,
    "httpx.HTTPError": _BROKEN,
    "httpcore.ConnectTimeout": _TOO_SLOW,
    "httpcore.PoolTimeout": "all connections are in use",
    "httpcore.TimeoutException": _LATE,
    "httpcore.ProxyError": _NO_PROXY,
    "httpcore.ConnectError": _NO_CONNECTION,
    "httpcore.NetworkError": _BROKEN,
    "httpcore.RemoteProtocolError": "it ended the connection, or its answer is not HTTP",
    "httpcore.ProtocolError": _NOT_HTTP,
    "httpcore.UnsupportedProtocol": _NO_URL,
    "urllib.HTTPError": "",
    "urllib.URLError": _NO_CONNECTION,
    "botocore.ConnectTimeoutError": _TOO_SLOW,
    "botocore.ReadTimeoutError": _LATE,
    "botocore.ProxyConnectionError": _NO_PROXY,
    "botocore.InvalidProxiesConfigError": "the proxy is not one that can be used",
    "botocore.SSLError": _NO_TLS,
    "botocore.ConnectionClosedError": _BROKEN,
    "botocore.EndpointConnectionError": _NO_CONNECTION,
    "botocore.ConnectionError": _NO_CONNECTION,
    "botocore.ResponseStreamingError": _BROKEN,
    "botocore.IncompleteReadError": _BROKEN,
    "botocore.HTTPClientError": _BROKEN,
    "botocore.ResponseParserError": "the answer is not that of a store",
    "botocore.NoCredentialsError": _NO_KEYS,
    "botocore.PartialCredentialsError": "one half of its pair of keys is missing",
    "botocore.CredentialRetrievalError": "its keys cannot be fetched",
    "botocore.TokenRetrievalError": "its keys cannot be fetched",
    "botocore.NoAuthTokenError": _NO_KEYS,
    "botocore.NoRegionError": "its region is missing",
    "botocore.ProfileNotFound": "the profile that AWS_PROFILE names does not exist",
    "botocore.ConfigNotFound": "a file of AWS's settings does not exist",
    "botocore.ConfigParseError": "a file of AWS's settings cannot be read",
    "botocore.ChecksumError": "what arrived has another checksum",
    "botocore.FlexibleChecksumError": "what arrived has another checksum",
    "botocore.ParamValidationError": "",
    "botocore.UnauthorizedSSOTokenError": _NO_KEYS,
    "botocore.ClientError": "",
    "botocore.BotoCoreError": "the request to the store cannot be made",
    "boto3.RetriesExceededError": _BROKEN,
    "boto3.Boto3Error": "",
    "boto3.ResourceLoadException": UNEXPECTED,
    "s3transfer.CancelledError": "it was interrupted",
    "kombu.OperationalError": _NO_CONNECTION,
    "kombu.LimitExceeded": "all connections are in use",
    "kombu.KombuError": _NO_BROKER,
    "amqp.ConsumerCancelled": _BROKEN,
    "amqp.AccessRefused": _REFUSED,
    "amqp.NotFound": "the broker has no queue or exchange of that name",
    "amqp.MessageNacked": "the broker does not keep the message",
    "amqp.ConnectionForced": "the broker ended the connection",
    "amqp.UnexpectedFrame": _NOT_AMQP,
    "amqp.FrameSyntaxError": _NOT_AMQP,
    "amqp.AMQPNotImplementedError": _NOT_AMQP,
    "amqp.AMQPError": _NO_BROKER,
    "urllib3.SSLError": _NO_TLS,
    "urllib3.ProxyError": _NO_PROXY,
    "urllib3.ConnectTimeoutError": _TOO_SLOW,
    "urllib3.TimeoutError": _LATE,
    "urllib3.LocationValueError": _NO_URL,
    "urllib3.NewConnectionError": _NO_CONNECTION,
    "urllib3.HTTPError": _BROKEN,
    "http.InvalidURL": _NO_URL,
    "http.RemoteDisconnected": "it ended the connection without an answer",
    "http.HTTPException": _NOT_HTTP,
    "ssl.SSLCertVerificationError": "",
    "ssl.SSLError": "",
    "socket.gaierror": "the name has no address",
    "json.JSONDecodeError": "it is not JSON",
    "tomllib.TOMLDecodeError": "it is not TOML",
    "configparser.Error": "it is not a file of settings",
    "zlib.error": "it cannot be unpacked",
    "zipfile.BadZipFile": "it is not a zip archive",
    "tarfile.TarError": "it is not a tar archive",
    "builtins.UnicodeDecodeError": "it is not UTF-8",
    "builtins.UnicodeEncodeError": "it has letters that cannot be written there",
    "builtins.UnicodeError": "it is not UTF-8",
    "builtins.ImportError": UNEXPECTED,
    "builtins.MemoryError": "there is not enough memory",
    "builtins.RecursionError": "it is nested too deeply",
    "builtins.ConnectionRefusedError": "the connection is refused",
    "builtins.ConnectionError": _BROKEN,
    "builtins.TimeoutError": _LATE,
    "builtins.FileNotFoundError": "there is no such file",
    "builtins.FileExistsError": "it exists already",
    "builtins.PermissionError": "access is not permitted",
    "builtins.EOFError": "it ends too early",
    "builtins.OSError": "the disk or the network failed",
    "builtins.ArithmeticError": UNEXPECTED,
    "builtins.AssertionError": UNEXPECTED,
    "builtins.AttributeError": UNEXPECTED,
    "builtins.LookupError": UNEXPECTED,
    "builtins.NameError": UNEXPECTED,
    "builtins.RuntimeError": "",
    "builtins.TypeError": UNEXPECTED,
    "builtins.ValueError": "",
}
"""Reasons by the first part of a class's module and its name; an empty one is taken from the error's text."""

_WRAPPING: Final = frozenset({_NO_CONNECTION, _BROKEN, _NO_TLS, _NO_PROXY})
"""Reasons of errors that often report another one."""
_STDLIB: Final = {"_ssl": "ssl", "_socket": "socket"}
_DOTTED: Final = re.compile(r"[\w.]+")
"""Words, and names of modules with what is in them."""
_ENDINGS: Final = ("Error", "Exception", "Timeout", "Warning")
"""Of names of exceptions' classes."""
_OF_CODE: Final = re.compile(
    r"<[^<>]* (?:object|at 0x)|<class |\bNoneType\b|has no attribute|\bTraceback\b|\b\w+\(['\")]"
)
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] |\bError -?\d+ ")
_MAX_DEPTH: Final = 12
"""Causes that are followed: errors of libraries are wrapped some times."""


def reason_of(error: BaseException) -> str:
    """Return why something failed: a few words on one line, which may follow a colon.

    An error of the system that caused it says more than the library that met it. Errors of Stemline
    have their own text.
    """
    for cause in _causes(error):
        if text := _of_system(cause):
            return text
    if type(error).__module__.startswith("stemline."):
        return " ".join(str(error).split()) or UNEXPECTED
    return _word(error) or _own_text(error) or UNEXPECTED


def without_classes(text: str) -> str:
    """Return a text on one line if it has no name of a class and nothing of the code; else an empty one."""
    line = " ".join(_ERRNO.sub("", text).split())
    names_a_class = any(map(_is_class, _DOTTED.findall(line)))
    return "" if names_a_class or _OF_CODE.search(line) else shorten(line)


def _is_class(word: str) -> bool:
    """Return whether a word seems to be, or to hold behind a dot, the name of an exception's class."""
    for number, part in enumerate(word.split(".")):
        ending = next((each for each in _ENDINGS if part.endswith(each)), "")
        rest = part.removesuffix(ending).removeprefix("_")
        if not ending or not rest:
            continue
        if rest[0].isupper() or (rest.isalpha() and rest.islower()) or (number and ending == "Error"):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what caused an error of a library, from the error itself on."""
    seen: BaseException | None = error
    for _ in range(_MAX_DEPTH):
        if seen is None:
            return
        yield seen
        if not _wraps(seen):
            return
        given: Any = getattr(seen, "reason", None) or getattr(seen, "kwargs", {}).get("error")
        context = None if seen.__suppress_context__ else seen.__context__
        seen = given if isinstance(given, BaseException) else seen.__cause__ or context


def _wraps(error: BaseException) -> bool:
    """Return whether an error may only report another one: that of a connection or of a broker."""
    return _word(error) in _WRAPPING or not {"boto3.Boto3Error", "urllib.URLError"}.isdisjoint(_names(error))


def _word(error: BaseException) -> str:
    return next((_WORDS[name] for name in _names(error) if name in _WORDS), "")


def _names(error: BaseException) -> Iterator[str]:
    for kind in type(error).__mro__:
        package = kind.__module__.partition(".")[0]
        yield f"{_STDLIB.get(package, package)}.{kind.__name__}"


def _of_system(error: BaseException) -> str:
    """Return what the system or TLS says of an error; empty if it is of another kind."""
    if not isinstance(error, OSError):
        return ""
    names = set(_names(error))
    if "ssl.SSLCertVerificationError" in names:
        reason = getattr(error, "verify_message", "") or "its authority is not known"
        return f"its certificate is not trusted: {reason}"
    if "ssl.SSLError" in names:
        reason = str(getattr(error, "reason", None) or "").replace("_", " ").lower()
        return f"{_NO_TLS}: {reason}" if reason else _NO_TLS
    if "socket.gaierror" in names:
        return _WORDS["socket.gaierror"]
    if error.errno:
        return without_classes(error.strerror or "")
    is_of_library = next(_names(error)) in _WORDS and type(error).__module__ != "builtins"
    return "" if is_of_library else _own_text(error)  # texts of libraries may have addresses


def _own_text(error: BaseException) -> str:
    """Return the text of an error, without names of classes."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):
        given = answer.get("Error", {})
        said = [str(given.get(part) or "") for part in ("Code", "Message")]
        return f"the store answered {': '.join(filter(None, said)) or 'with an error'}"
    if answer is not None and hasattr(answer, "status_code"):
        return f"it answered {answer.status_code}"
    words = set(re.findall(r"\w+", str(error)))
    is_named = any(kind.__name__ in words for kind in type(error).__mro__)
    return "" if is_named else without_classes(str(error))
