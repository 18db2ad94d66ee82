"""A minimal client of the job API: signed requests, XML in both directions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
from lxml import etree

from stemline.runtime import loopback
from stemline.wire.integrity import integrity_headers
from stemline.wire.signature import SignedRequest, sign

_ELEMENTS = {"Object": "background", "AuObject": "voice"}


class ApiError(RuntimeError):
    """The API cannot be reached or refused a request."""


class Client:
    """Submits and reads the jobs of one bucket."""

    def __init__(self, api: str, *, secret_id: str, secret_key: str, region: str, bucket: str) -> None:
        # A certificate on this machine is for another name, or of an authority that is trusted nowhere else.
        verify = urlsplit(api).hostname not in loopback.HOSTS
        self._http = httpx.Client(base_url=api, timeout=30, trust_env=False, verify=verify)
        self._host = urlsplit(api).netloc
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._region = region
        self._bucket = bucket

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, path: str, body: bytes = b"") -> etree._Element:
        """Send a signed request without query parameters and return the root element of the response.

        Raises:
            ApiError: the API does not answer, or it answers with an error, whose code and message are given.
        """
        headers = {"Host": self._host, **integrity_headers(body)}
        if body:
            headers["Content-Type"] = "application/xml"
        signed = SignedRequest(
            method, path, (), [(name.lower(), value.encode()) for name, value in headers.items()]
        )
        now = int(time.time())
        headers["Authorization"] = sign(
            signed,
            secret_id=self._secret_id,
            secret_key=self._secret_key,
            start=now - 60,
            end=now + 900,
            headers=headers,
        )
        try:
            response = self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ApiError(f"the API does not answer: {error}") from error
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        try:
            root = etree.fromstring(response.content, parser)
        except etree.XMLSyntaxError as error:
            raise ApiError(f"the API answered {response.status_code}: {response.text[:200]}") from error
        if response.status_code != 200:
            raise ApiError(
                f"the API refused the request: {root.findtext('Code')}: {root.findtext('Message')}"
            )
        return root

    def submit(self, source: str, outputs: Mapping[str, str], *, codec: str, callback: str) -> str:
        """Submit a separation into voice and background and return the id of the job.

        Args:
            source: key of the song in the bucket.
            outputs: keys of the stems, by ``voice`` and ``background``.
            codec: of the stems.
            callback: URL that the callback is sent to.

        Raises:
            ApiError: the submission was refused.
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
        for element, stem in _ELEMENTS.items():
            add(output, element, outputs[stem])
        add(request, "CallBack", callback)
        job_id = self.call("POST", "/jobs", etree.tostring(request)).findtext("JobsDetail/JobId")
        if not job_id:
            raise ApiError("the response to the submission has no JobId")
        return job_id

    def job(self, job_id: str) -> etree._Element:
        """Return the ``JobsDetail`` element of a job.

        Raises:
            ApiError: there is no such job, or the request failed.
        """
        detail = self.call("GET", f"/jobs/{job_id}").find("JobsDetail")
        if detail is None:
            raise ApiError(f"there is no job {job_id}")
        return detail
