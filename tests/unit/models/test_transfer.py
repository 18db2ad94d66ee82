"""How often a download is tried, and what is not tried again."""

from __future__ import annotations

import io
import urllib.error
from email.message import Message
from pathlib import Path
from typing import Any

import boto3
import pytest

from stemline.models import transfer as module
from stemline.models.transfer import transfer
from stemline.separation.errors import WeightsCorrupt, WeightsMissing

URL = "https://weights.example.com/a.tar.gz"


class Server:
    """Answers with the rest of a file, or raises what is planned for a request."""

    def __init__(self, *plan: Exception | int, content: bytes = b"0123456789") -> None:
        self.plan = list(plan)
        """Errors, and numbers of bytes after which the connection ends."""
        self.content = content
        self.offsets: list[int] = []

    def __call__(self, _url: str, offset: int) -> tuple[int, int | None, Any]:
        self.offsets.append(offset)
        step = self.plan.pop(0) if self.plan else len(self.content)
        if isinstance(step, Exception):
            raise step
        return offset, len(self.content), io.BytesIO(self.content[offset : offset + step])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("stemline.models.transfer.time.sleep", slept.append)
    return slept


def use(monkeypatch: pytest.MonkeyPatch, server: Server) -> Server:
    monkeypatch.setattr(module, "_open_http", server)
    return server


def status(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(URL, code, "no", Message(), io.BytesIO())


def test_pauses_grow_between_tries(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], tmp_path: Path
) -> None:
    """Each is twice as long as the one before, and each try goes on where the last one ended."""
    server = use(monkeypatch, Server(4, OSError("reset"), 3, status(503)))
    transfer(URL, tmp_path / "part", limit=99, pause_s=1.0)
    assert server.content == (tmp_path / "part").read_bytes()
    assert ([1.0, 2.0, 4.0, 8.0], [0, 4, 4, 7, 7]) == (pauses, server.offsets)


def test_a_download_is_given_up_after_five_tries(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], tmp_path: Path
) -> None:
    """The error says what the last one was."""
    server = use(monkeypatch, Server(*[OSError("reset by peer")] * 9))
    with pytest.raises(WeightsMissing, match="reset by peer"):
        transfer(URL, tmp_path / "part", limit=99)
    assert (5, 4) == (len(server.offsets), len(pauses))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (urllib.error.URLError(OSError(-2, "Name or service not known")), "Name or service not known"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (urllib.error.HTTPError(URL, 502, "Bad Gateway", Message(), None), "the server answered 502"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_the_reason_is_in_words(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, pauses: list[float], tmp_path: Path
) -> None:
    """No message has the text by which Python's classes show themselves."""
    use(monkeypatch, Server(*[error] * 9))
    with pytest.raises(WeightsMissing) as raised:
        transfer(URL, tmp_path / "part", limit=99)
    assert str(raised.value).endswith(f"could not be fetched: {said}")


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_is_not_there_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], tmp_path: Path, code: int
) -> None:
    """The next source is tried without a pause."""
    server = use(monkeypatch, Server(status(code)))
    with pytest.raises(WeightsMissing, match=str(code)):
        transfer(URL, tmp_path / "part", limit=99)
    assert ([0], []) == (server.offsets, pauses)


@pytest.mark.parametrize(("limit", "fits"), [(9, False), (10, True)])
def test_a_file_may_be_as_large_as_its_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, fits: bool
) -> None:
    """A byte more ends the download at once, since no honest file has it."""
    server = use(monkeypatch, Server())
    if fits:
        transfer(URL, tmp_path / "part", limit=limit)
        assert server.content == (tmp_path / "part").read_bytes()
    else:
        with pytest.raises(WeightsCorrupt, match="larger than 9 bytes"):
            transfer(URL, tmp_path / "part", limit=limit)
        assert [0] == server.offsets


@pytest.mark.parametrize(("have", "asked"), [(0, 0), (4, 4), (9, 9), (10, 0), (12, 0)])
def test_a_bucket_is_asked_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, have: int, asked: int
) -> None:
    """Of a file that is whole or longer, which may be another one, everything: no store has a rest of it."""
    ranges: list[str] = []

    class S3:
        def head_object(self, **_: Any) -> dict[str, Any]:
            return {"ContentLength": 10}

        def get_object(self, Range: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
            ranges.append(Range)
            return {"Body": io.BytesIO(b"0123456789"[asked:])}

    monkeypatch.setattr(boto3, "client", lambda _name: S3())
    offset, size, _body = module._open_s3("s3://bucket/a.tar.gz", have)
    assert ([f"bytes={asked}-"], asked, 10) == (ranges, offset, size)
