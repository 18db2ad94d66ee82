"""Botocore: the HTTP session of a client, bounds on what a store may answer, and bodies as they arrive."""

from __future__ import annotations

import io
import re
import time
from http.client import HTTPException, HTTPResponse
from typing import Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSResponse,
)
from botocore.endpoint import Endpoint
from botocore.exceptions import BotoCoreError, HTTPClientError, ReadTimeoutError, ResponseStreamingError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

#: Of an answer other than an object: lists of 1,000 keys and errors have less, however long the keys.
MAX_ANSWER_BYTES: Final = 4 << 20
#: Most tags of such an answer, which may have 31 attributes: what is made of them takes a hundred times more.
MAX_TAGS: Final = 50_000
_MANY_ATTRIBUTES: Final = re.compile(rb"""<[^<>'"]*+(?:(?:'[^'<]*+'|"[^"<]*+")[^<>'"]*+){32}""")
#: Longest time that such an answer may take to arrive after its head, s.
MAX_ANSWER_S: Final = 60.0
#: Of the head of an answer with the interim ones before it, or of what stands around the chunks of its body.
MAX_HEAD_BYTES: Final = 1 << 20
#: Longest time that such a head, or one read of a body, may take, s.
MAX_HEAD_S: Final = 60.0
_CHUNK_BYTES: Final = 1 << 16


def http_session(client: Any) -> Any:
    """Return the session through which a client sends: its connections, proxies, authorities and timeouts.

    A client signs with headers, so that a request has no lifetime of its own. A presigned one must be sent by
    other means, and botocore makes a session's proxies and authorities known nowhere else.

    Args:
        client: Any client of boto3.

    Returns:
        An object whose ``send`` takes a prepared ``AWSRequest``.
    """
    return vars(client)["_endpoint"].http_session


def bound_answers(client: Any) -> None:
    """Let a client give up on answers that are too large, too slow or none that botocore can read.

    botocore reads every answer but an object into memory, errors too, and as long as a byte comes in time it
    waits for the next one: of a head too, after any number of interim answers, and of trailers. For malformed
    dates and numbers its parsers raise errors of all kinds.

    Args:
        client: Any client of boto3.
    """
    endpoint = vars(client)["_endpoint"]
    vars(endpoint.http_session)["_pool_classes_by_scheme"].update(http=_Pool, https=_SecurePool)
    endpoint.http_session = _BoundedSession(endpoint.http_session)
    endpoint.__class__ = _CarefulEndpoint


def read_available(body: Any, size: int) -> bytes:
    """Return what has arrived of an object, at most ``size`` bytes; none at its end.

    ``StreamingBody.read`` waits until so many bytes have arrived.

    Raises:
        ReadTimeoutError, ResponseStreamingError: The connection broke or is silent.
    """
    raw = vars(body)["_raw_stream"]
    try:
        return bytes(raw.read1(size))
    except Urllib3ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=error.url, error=error) from error
    except HTTPError as error:
        raise ResponseStreamingError(error=error) from error


class UnreadableAnswer(HTTPClientError):  # type: ignore[misc]  # botocore ships no types
    """The answer of a store is invalid: it is not XML, or a date or number in it is malformed."""

    fmt = "The answer to {operation} cannot be read"


class _CarefulEndpoint(Endpoint):  # type: ignore[misc]  # botocore ships no types
    """An endpoint that raises `UnreadableAnswer` whatever a parser meets in an answer."""

    def _do_get_response(self, request: Any, operation_model: Any, context: Any) -> Any:
        """Return the answer, or the error of sending; raise the error of reading."""
        try:
            return super()._do_get_response(request, operation_model, context)
        except (BotoCoreError, MemoryError):
            raise
        except Exception as error:
            raise UnreadableAnswer(operation=operation_model.name) from error

    def _needs_retry(self, attempts: int, operation_model: Any, request_dict: Any, *answer: Any) -> Any:
        """Return whether botocore sends the request again, as to another region; never a HEAD of a bucket.

        It sends that one itself to learn the region, and one more for each that is redirected, without end.
        """
        if operation_model.name == "HeadBucket":
            request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True
        return super()._needs_retry(attempts, operation_model, request_dict, *answer)


class _Arriving(io.RawIOBase):
    """What arrives of an answer, in bounds of size and time."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.allow(MAX_HEAD_BYTES)

    def allow(self, size: int) -> None:
        """Let so many bytes come from now on, in time."""
        self._left = size
        self._end = time.monotonic() + MAX_HEAD_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived.

        Raises:
            TimeoutError: It takes too long.
            HTTPException: It is too large.
        """
        size: int | None = self._raw.readinto(buffer)
        self._left -= size or 0
        if self._left < 0:
            raise HTTPException("a head or trailers are too large")
        if time.monotonic() > self._end:
            raise TimeoutError
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer whose head has bounds, and each read of its body: it ends with trailers, without a limit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arriving = _Arriving(self.fp.detach())
        self.fp = io.BufferedReader(self._arriving)

    def read1(self, size: int = -1) -> bytes:
        """Return what has arrived of the body."""
        self._arriving.allow(MAX_HEAD_BYTES + max(size, 0))
        return super().read1(size)


class _Connection(AWSHTTPConnection):  # type: ignore[misc]  # botocore ships no types
    response_class = _Response


class _SecureConnection(AWSHTTPSConnection):  # type: ignore[misc]
    response_class = _Response


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _SecureConnection


class _BoundedSession:
    """A session whose responses are bounded."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Any) -> AWSResponse:
        """Send a request; read the response unless it is an object."""
        is_streamed, request.stream_output = request.stream_output, True
        sent = self._session.send(request)
        response = _BoundedResponse(sent.url, sent.status_code, sent.headers, sent.raw)
        if not is_streamed:
            _ = response.content
        return response

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


class _BoundedResponse(AWSResponse):  # type: ignore[misc]  # botocore ships no types
    """A response whose content has a bound, and must arrive in time."""

    _content: bytes | None

    @property
    def content(self) -> bytes:
        """The body.

        Raises:
            HTTPClientError: It is too large, too slow or has too many parts, or the connection broke.
        """
        if self._content is None:
            self._content = self._read()
        return bytes(self._content)

    def _read(self) -> bytes:
        end = time.monotonic() + MAX_ANSWER_S
        content = bytearray()
        try:
            while chunk := self.raw.read1(_CHUNK_BYTES):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES or time.monotonic() > end:
                    self.raw.close()
                    raise HTTPClientError(error="the answer is too large or too slow")
        except Urllib3ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from error
        except HTTPError as error:
            raise HTTPClientError(error=error) from error
        if content.count(b"<") > MAX_TAGS or b"\0" in content or _MANY_ATTRIBUTES.search(content):
            raise HTTPClientError(error="the answer has too many tags or attributes")
        return bytes(content)
