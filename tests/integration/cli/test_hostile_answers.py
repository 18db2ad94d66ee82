"""What a service answers is shown, and never obeyed by a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main

ID = "1" * 32
EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\u2066\u2028\x7f\x00"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
TIME = "2026-11-29T01:00:00+0800"
ATTEMPT = {"Time": TIME, "Status": f"500{EVIL}", "Answer": EVIL, "Duration": "5"}
CALLBACK = {
    "CallbackId": f"d{ID}",
    "JobId": f"j{EVIL}",
    "State": f"Dead{EVIL}",
    "Url": f"http://x/{EVIL}",
    "Format": EVIL,
    "Attempts": [ATTEMPT],
    "Attempt": [ATTEMPT],
}
JOB = {
    "JobId": f"j{ID}",
    "State": f"Failed{EVIL}",
    "Code": f"Odd{EVIL}",
    "Message": EVIL,
    "QueueId": f"p{EVIL}",
    "Tag": "VoiceSeparate",
    "Stage": EVIL,
    "OriginJobId": EVIL,
    "RetryJobId": EVIL,
    "CreationTime": TIME,
    "EndTime": TIME,
    "Input": {"Object": f"in/{EVIL}", "Bucket": EVIL, "Region": EVIL},
    "Operation": {
        "UserData": EVIL,
        "TemplateId": EVIL,
        "Model": EVIL,
        "Output": {"Bucket": EVIL, "Region": EVIL, "AuObject": f"out/{EVIL}"},
        "VoiceSeparate": {"AudioMode": EVIL, "AudioConfig": {"Codec": EVIL}},
    },
}
BATCH = {"BatchId": f"b{EVIL}", "Name": EVIL, "State": "Done", "RowCount": "3", "FailedCount": "1"}
QUEUE = {"QueueId": f"p{EVIL}", "Name": EVIL, "State": f"Active{EVIL}", "MaxSize": "1", "MaxConcurrent": "1"}
TEMPLATE = {"TemplateId": f"t{EVIL}", "Name": EVIL, "VoiceSeparate": {"AudioMode": EVIL}}
ANSWER: dict[str, Any] = {
    "RequestId": EVIL,
    "TotalCount": "1",
    "NextToken": "",
    "JobsDetail": [JOB],
    "Batch": BATCH,
    "BatchList": [BATCH],
    "QueueList": [QUEUE],
    "Queue": QUEUE,
    "TemplateList": [TEMPLATE],
    "Template": TEMPLATE,
    "Callback": [CALLBACK],
    "CallbackList": [CALLBACK],
    "UsageList": [{"Date": "2026-11-01", "Credential": EVIL, "Work": [{"Device": EVIL, "Seconds": "1"}]}],
}
ERROR = {"Code": f"AccessDenied{EVIL}", "Message": EVIL, "RequestId": EVIL, "Resource": EVIL}
EVENT = {"JobId": f"j{EVIL}", "State": f"Running{EVIL}", "Stage": EVIL, "Code": EVIL, "Progress": "1"}

COMMANDS = [
    "jobs",
    f"job j{ID}",
    "queues",
    "templates list",
    "templates create x",
    "batches list",
    "batches show b1",
    "batches create in/a.mp3",
    "callbacks list",
    f"callbacks show d{ID}",
    "usage",
    f"retry j{ID}",
    f"fetch j{ID}",
    "submit s3://media-1250000000/in/a.mp3 --no-wait",
    "events",
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.server.answer  # type: ignore[attr-defined]
        if self.command == "POST" and status == 200:  # jobs that are new have ids of the service's choice
            body = body | {"JobsDetail": [JOB | {"JobId": f"j{EVIL}"}]}
        content = json.dumps(body).encode()
        if self.path.startswith("/events") and status == 200:
            content = (
                b"id: 1-0\nevent: job\ndata: %b\n\nid: \x1b\nevent: job\ndata: {}\n\n"
                % json.dumps(EVENT).encode()
            )
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/event-stream" if b"event: job" in content else "application/json"
        )
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names of the base class

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("answer", [(200, ANSWER), (403, ERROR)], ids=["success", "refusal"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_answer_reaches_a_terminal_as_it_is(
    hostile: ThreadingHTTPServer, command: str, answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever texts a service, or a receiver or store that it repeats, has put into them."""
    monkeypatch.chdir(tmp_path)
    hostile.answer = answer  # type: ignore[attr-defined]
    environment = {
        "HOME": str(tmp_path),
        "STEMLINE_API": f"http://127.0.0.1:{hostile.server_port}",
        "STEMLINE_SECRET_ID": "AKIDx",
        "STEMLINE_SECRET_KEY": "y" * 32,
        "STEMLINE_BUCKET": "media-1250000000",
        "STEMLINE_REGION": "ap-chongqing",
    }
    ran = CliRunner().invoke(main, command.split(), env=environment)
    assert "title" in ran.output, ran.output
    assert [] == OBEYED.findall(ran.output), ran.output
