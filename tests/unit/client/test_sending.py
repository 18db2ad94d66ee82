"""Sending a file through links, to a store that refuses some of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from stemline.client import sending
from stemline.client.call import Call
from stemline.client.errors import ApiError, ConnectionFailed, SlowDown, TransferFailed
from stemline.client.sending import send_file
from stemline.client.unanswered import UnansweredTries
from stemline.client.uploads import Upload

PART = 4
CONTENT = b"0123456789"


class Service:
    """What answers the calls, and the store that takes the parts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts: dict[int, bytes] = {}
        self.calls: list[str] = []
        self.refusals: list[int] = []
        """Statuses with which the store answers the next parts."""
        self.errors: dict[str, Exception] = {}
        """What a call raises, by its method and path."""
        monkeypatch.setattr(httpx, "put", self._put)

    def send(self, call: Call[Any]) -> Any:
        name = f"{call.method} {call.path}"
        self.calls.append(name)
        if name in self.errors:
            raise self.errors[name]
        if call.path == "/uploads/complete":
            return "uploads/1/song.wav"
        lacking = [number for number in (1, 2, 3) if number not in self.parts]
        urls = {number: f"http://store.test/{number}" for number in lacking}
        return Upload("uploads/1/song.wav", "u", len(CONTENT), PART, urls)

    def _put(self, url: str, *, content: Any, headers: dict[str, str], **_: Any) -> httpx.Response:
        data = b"".join(content)
        assert headers["Content-Length"] == str(len(data))
        status = self.refusals.pop(0) if self.refusals else 200
        if status == 200:
            self.parts[int(url.rpartition("/")[2])] = data
        return httpx.Response(status, request=httpx.Request("PUT", url))

    @property
    def stored(self) -> bytes:
        return b"".join(self.parts[number] for number in sorted(self.parts))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    path.write_bytes(CONTENT)
    return path


def test_every_part_is_sent_once(service: Service, song: Path) -> None:
    """The parts are the file, in the sizes that the service asks for, and progress adds up to it."""
    reported: list[int] = []
    assert "uploads/1/song.wav" == send_file(service, song, reported.append)  # type: ignore[arg-type]
    assert service.stored == CONTENT
    assert [4, 4, 2] == [len(service.parts[number]) for number in (1, 2, 3)]
    assert sum(reported) == len(CONTENT)
    assert ["POST /uploads", "PUT /uploads", "POST /uploads/complete"] == service.calls


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_part_that_was_refused_is_sent_again(service: Service, song: Path, status: int) -> None:
    """A part that the store did not take is asked for again, and only then the upload is completed."""
    service.refusals = [200, status]
    send_file(service, song)  # type: ignore[arg-type]
    assert service.stored == CONTENT
    assert 2 == service.calls.count("PUT /uploads")


@pytest.mark.parametrize(
    ("status", "tries"),
    [(400, sending._FAULTS), (503, sending._FAULTS), *((each, 1) for each in (401, 403, 404, 413))],
)
def test_a_store_that_takes_no_part_ends_the_upload(
    service: Service, song: Path, status: int, tries: int
) -> None:
    """A refusal of a new link ends it at once, a fault after some; nothing is left behind."""
    service.refusals = [status] * 100
    with pytest.raises(TransferFailed, match=rf"part 1 of uploads/1/song.wav.*{status}"):
        send_file(service, song)  # type: ignore[arg-type]
    assert tries == 100 - len(service.refusals)
    assert "DELETE /uploads" == service.calls[-1]
    assert "POST /uploads/complete" not in service.calls


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionFailed("gone")])
def test_whatever_ends_an_upload_its_parts_are_deleted(
    service: Service, song: Path, error: BaseException
) -> None:
    """Ctrl-C and a service that is gone leave no parts, as far as the service can be asked."""
    service.errors["POST /uploads/complete"] = error  # type: ignore[assignment]
    with pytest.raises(type(error)):
        send_file(service, song)  # type: ignore[arg-type]
    assert "DELETE /uploads" == service.calls[-1]


def test_the_error_is_kept_if_the_parts_cannot_be_deleted(service: Service, song: Path) -> None:
    """What ended the upload is raised, not what failed afterwards."""
    service.refusals = [500] * 100
    service.errors["DELETE /uploads"] = ConnectionFailed("gone")
    with pytest.raises(TransferFailed, match="500"):
        send_file(service, song)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (SlowDown("SlowDown", "wait", status=503), SlowDown),
        (ApiError("AccessDenied", "no", status=403), ApiError),
        (ApiError("InvalidArgument", "Size", status=400), TransferFailed),
    ],
)
def test_a_service_that_takes_no_uploads(
    service: Service, song: Path, error: ApiError, raised: type[Exception]
) -> None:
    """What may be tried again, or is not allowed, keeps its own error; others name the file."""
    service.errors["POST /uploads"] = error
    with pytest.raises(raised):
        send_file(service, song)  # type: ignore[arg-type]
    assert ["POST /uploads"] == service.calls


def test_a_file_that_shrinks_or_is_gone(service: Service, song: Path, tmp_path: Path) -> None:
    """A file that changes while it is sent is an error, and so is one that cannot be read."""
    with pytest.raises(TransferFailed, match="could not be read"):
        send_file(service, tmp_path / "none.wav")  # type: ignore[arg-type]
    song.write_bytes(b"012345")
    service.send = lambda call, send=service.send: (  # type: ignore[method-assign]
        song.write_bytes(b"01") and send(call) if call.path == "/uploads" else send(call)
    )
    with pytest.raises(TransferFailed, match="shorter"):
        send_file(service, song)  # type: ignore[arg-type]


def test_a_store_that_hangs_is_tried_by_time(
    service: Service, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that time out end the transfer with the second one, not with the fifth."""
    times = iter((30.0, 60.0))
    monkeypatch.setattr(sending, "UnansweredTries", lambda: UnansweredTries(lambda: next(times)))
    monkeypatch.setattr(httpx, "put", timing_out)
    with pytest.raises(TransferFailed, match="did not answer in time"):
        send_file(service, song)  # type: ignore[arg-type]
    assert 1 == service.calls.count("PUT /uploads")


def timing_out(url: str, **_: Any) -> httpx.Response:
    raise httpx.ReadTimeout("", request=httpx.Request("PUT", url))
