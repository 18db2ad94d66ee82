"""The smallest client of the job API: signed requests, XML in, XML out."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import httpx
from lxml import etree

_NAMES = {"Object": "background", "AuObject": "voice"}


class ApiError(RuntimeError):
    """The API refused a request."""


def authorization(
    secret_id: str,
    secret_key: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    validity: tuple[int, int],
) -> str:
    """The ``Authorization`` header of a request without query parameters.

    Args:
        secret_id: public half of the key pair.
        secret_key: the other half.
        method: of the request, in any case.
        path: decoded, beginning with ``/``.
        headers: those that are signed, names in any case.
        validity: when it begins and ends, Unix seconds.
    """
    times = f"{validity[0]};{validity[1]}"
    signed = sorted((name.lower(), quote(value, safe="")) for name, value in headers.items())
    listed = "&".join(f"{name}={value}" for name, value in signed)
    request = f"{method.lower()}\n{path}\n\n{listed}\n"
    key = hmac.new(secret_key.encode(), times.encode(), hashlib.sha1).hexdigest()
    text = f"sha1\n{times}\n{hashlib.sha1(request.encode()).hexdigest()}\n"  # noqa: S324 - the wire's choice
    signature = hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()
    return (
        f"q-sign-algorithm=sha1&q-ak={secret_id}&q-sign-time={times}&q-key-time={times}"
        f"&q-header-list={';'.join(name for name, _ in signed)}&q-url-param-list=&q-signature={signature}"
    )


class Client:
    """Submits and reads jobs of one bucket."""

    def __init__(self, api: str, *, secret_id: str, secret_key: str, region: str, bucket: str) -> None:
        self._http = httpx.Client(base_url=api, timeout=30, trust_env=False)
        self._host = urlsplit(api).netloc
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._region = region
        self._bucket = bucket

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def call(self, method: str, path: str, body: bytes = b"") -> etree._Element:
        """One signed request; the root of its answer.

        Raises:
            ApiError: the answer is an error; its code and message are told.
        """
        headers = {"Host": self._host}
        if body:
            headers["Content-Type"] = "application/xml"
        now = int(time.time())
        signature = authorization(
            self._secret_id, self._secret_key, method, path, headers, validity=(now - 60, now + 900)
        )
        try:
            answer = self._http.request(
                method, path, content=body, headers={**headers, "Authorization": signature}
            )
        except httpx.HTTPError as error:
            raise ApiError(f"the API does not answer: {error}") from error
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        try:
            root = etree.fromstring(answer.content, parser)
        except etree.XMLSyntaxError as error:
            raise ApiError(f"the API answered {answer.status_code}: {answer.text[:200]}") from error
        if answer.status_code != 200:
            raise ApiError(f"the API refused: {root.findtext('Code')}: {root.findtext('Message')}")
        return root

    def submit(self, source: str, outputs: Mapping[str, str], *, codec: str, callback: str) -> str:
        """Submit a separation into voice and background; the job's id.

        Args:
            source: key of the song in the bucket.
            outputs: keys of the stems, by ``voice`` and ``background``.
            codec: of the stems.
            callback: URL to tell when the job has ended.

        Raises:
            ApiError: it was refused.
        """
        request = etree.Element("Request")

        def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
            child = etree.SubElement(parent, name)
            child.text = text
            return child

        add(request, "Tag", "VoiceSeparate")
        add(add(request, "Input"), "Object", source)
        operation = add(request, "Operation")
        separate = add(operation, "VoiceSeparate")
        add(separate, "AudioMode", "AudioAndBackground")
        add(add(separate, "AudioConfig"), "Codec", codec)
        output = add(operation, "Output")
        add(output, "Region", self._region)
        add(output, "Bucket", self._bucket)
        for element, stem in _NAMES.items():
            add(output, element, outputs[stem])
        add(request, "CallBack", callback)
        answer = self.call("POST", "/jobs", etree.tostring(request))
        job_id = answer.findtext("JobsDetail/JobId")
        if not job_id:
            raise ApiError("the answer to the submission names no job")
        return job_id

    def job(self, job_id: str) -> etree._Element:
        """The job's ``JobsDetail``.

        Raises:
            ApiError: there is no such job, or the request failed.
        """
        detail = self.call("GET", f"/jobs/{job_id}").find("JobsDetail")
        if detail is None:
            raise ApiError(f"the API does not know job {job_id}")
        return detail
