"""Every exception class that the libraries in use and Python itself raise."""

from __future__ import annotations

import builtins
import configparser
import errno
import http.client
import inspect
import json
import os
import re
import socket
import ssl
import tarfile
import tomllib
import urllib.error
import zipfile
import zlib
from collections.abc import Iterator
from string import Formatter
from types import ModuleType
from typing import Any

import amqp.exceptions
import boto3.exceptions
import botocore.exceptions
import httpcore
import httpx
import kombu.exceptions
import redis.exceptions
import s3transfer.exceptions  # type: ignore[import-untyped]
import urllib3.exceptions

MODULES: tuple[ModuleType, ...] = (
    amqp.exceptions,
    boto3.exceptions,
    botocore.exceptions,
    builtins,
    configparser,
    http.client,
    httpcore,
    httpx,
    json,
    kombu.exceptions,
    redis.exceptions,
    s3transfer.exceptions,
    socket,
    ssl,
    tarfile,
    tomllib,
    urllib.error,
    urllib3.exceptions,
    zipfile,
    zlib,
)
OF_TEXTS: tuple[Exception, ...] = (
    *(OSError(number, os.strerror(number)) for number in errno.errorcode),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range"),
    json.JSONDecodeError("Expecting value", "x", 0),
    botocore.exceptions.ClientError(
        {"Error": {"Code": "AccessDenied", "Message": "Access Denied."}}, "ListObjectsV2"
    ),
    redis.exceptions.ConnectionError("Error 111 connecting to 127.0.0.1:1. ConnectionRefusedError: refused."),
    TypeError("'NoneType' object is not subscriptable"),
    ValueError("bad <class 'int'>"),
)
"""One for each number of the system, and some with texts as they are in use."""


def kinds(module: ModuleType) -> list[type[Exception]]:
    """Every class of a module, in the order of its name."""
    found = {
        kind
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Exception)
        if not issubclass(kind, Warning | ExceptionGroup)
    }
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def made(kind: type[Exception]) -> Exception:
    """An error of a class, with a text that names the class, as many libraries' texts name causes."""
    text = f"{kind.__name__}('nothing') raised {kind.__module__}.{kind.__qualname__}"
    fields: dict[str, Any] = {
        str(name): "given" for _, name, _, _ in Formatter().parse(getattr(kind, "fmt", "")) if name
    }
    for arguments in (text,), (text, text), ("http://a.test", 500, text, None, None):
        try:
            return kind(**fields) if fields else kind(*arguments)
        except (TypeError, AttributeError, ValueError, KeyError):
            continue
    return kind.__new__(kind)


def errors(module: ModuleType) -> Iterator[Exception]:
    """An error of every class of a module."""
    return (made(kind) for kind in kinds(module))


_NAMES = frozenset(
    kind.__name__
    for module in MODULES
    for kind in kinds(module)
    if re.search("[a-z][A-Z]|.Error|.Exception", kind.__name__)
)
"""Names that are no words of English."""


def classes_in(text: str) -> set[str]:
    """The names of exception classes that a text has."""
    return {word for word in re.findall(r"\w+", text) if word in _NAMES}
