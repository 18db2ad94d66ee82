"""A client that submits, cancels, pauses and resumes, and a receiver of callbacks."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stemline.wire.times import format_time
from tests.chaos import stub
from tests.chaos.ledger import Asked, Ledger
from tests.chaos.service import BUCKET, REGION, Service

JOB_ID = re.compile(rb"<JobId>(j[0-9a-f]{32})</JobId>")
POISON_SHARE = 0.005
CANCEL_SHARE = 0.04
IDEMPOTENT_SHARE = 0.7
EQUAL_SHARE = 0.1
"""Jobs with the source of an earlier one."""
DEADLINE_SHARE = 0.05
BATCH_SHARE = 0.01
BATCH_ROWS = 8


class Client:
    """Keeps the service busy with jobs; retries as the SDKs do."""

    def __init__(
        self, service: Service, ledger: Ledger, callback_url: str, seed: int, *, varied: bool = False
    ) -> None:
        """Prepare to submit.

        Args:
            service: What is asked.
            ledger: Keeps what is answered.
            callback_url: Of the receiver.
            seed: Of the choices.
            varied: Whether there are also batches, near deadlines, and jobs with the source of another one.
        """
        self._varied = varied
        self._service = service
        self._ledger = ledger
        self._callback_url = callback_url
        self._random = random.Random(seed)
        self._s3 = service.s3.client()
        self._count = 0
        self._sources: list[str] = []
        """Nonces of the latest sources that kill nobody."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._submit_on, daemon=True)

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def stop(self) -> None:
        """Stop submitting."""
        self._over.set()
        self._thread.join()

    def _submit_on(self) -> None:
        while not self._over.is_set():
            open_jobs = len(self._ledger.accepted) - len(self._ledger.callbacks)
            if open_jobs > 150:
                self._over.wait(0.05)
                continue
            self.submit()
            if self._random.random() < CANCEL_SHARE and self._ledger.accepted:
                self.cancel(self._random.choice(list(self._ledger.accepted)[-30:]))
            if self._varied and self._random.random() < BATCH_SHARE:
                self.submit_batch(BATCH_ROWS)
            self._over.wait(self._random.uniform(0, 0.08))

    def submit(
        self, *, seconds: float | None = None, poison: bool | None = None, source: str | None = None
    ) -> str | None:
        """Submit one job, of a random kind unless given; return its id if it was accepted.

        Args:
            seconds: How long it is separated.
            poison: Whether it kills its engine.
            source: Nonce of an earlier job with the same source.
        """
        nonce, deadline = self._nonce(), ""
        if seconds is None and poison is None:
            seconds = self._random.choice([0.0, 0.05, 0.1, 0.2, 0.8])
            poison = self._random.random() < POISON_SHARE
            if self._varied:
                deadline = self._deadline()
                source = None if poison else self._earlier_source()
        if source is None:
            source = nonce
            self._put(nonce, seconds or 0.0, poison=bool(poison))
        body = (
            f"<Request><Tag>VoiceSeparate</Tag><Input><Object>in/{source}</Object></Input><Operation>"
            "<VoiceSeparate><AudioMode>AudioAndBackground</AudioMode><AudioConfig><Codec>wav</Codec>"
            f"</AudioConfig></VoiceSeparate><Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket>"
            "<Object>out/${jobid}/bg</Object><AuObject>out/${jobid}/voice</AuObject></Output>"
            f"<UserData>{nonce}</UserData><JobLevel>{self._random.randrange(3)}</JobLevel></Operation>{deadline}"
            f"<CallBack>{self._callback_url}</CallBack><CallBackFormat>JSON</CallBackFormat></Request>"
        ).encode()
        headers = {"Content-Type": "application/xml"}
        # A repeated deadline may have passed meanwhile.
        repeats = not deadline and self._random.random() < IDEMPOTENT_SHARE
        if repeats:
            headers["Idempotency-Key"] = nonce
        while True:
            status, answer = self.ask("POST", "/jobs", body, headers)
            if status == 200:
                (job_id,) = JOB_ID.findall(answer)
                self._ledger.accepted[job_id.decode()] = Asked(nonce, bool(poison))
                self._ledger.accepted_at[job_id.decode()] = time.monotonic()
                self._ledger.beat("accepted")
                return str(job_id.decode())
            if not repeats:
                (self._ledger.refused if status == 503 else self._ledger.unanswered).add(nonce)
                return None
            if self._over.wait(0.05):
                self._ledger.unanswered.add(nonce)
                return None

    def submit_batch(self, rows: int) -> str | None:
        """Submit a batch of short jobs, again until it is accepted; return its id."""
        nonces = [self._nonce() for _ in range(rows)]
        for nonce in nonces:
            self._put(nonce, self._random.choice([0.0, 0.1]), poison=False)
        output = {"Region": REGION, "Bucket": BUCKET}
        output |= {"Object": "out/${jobid}/bg", "AuObject": "out/${jobid}/voice"}
        config = {"AudioMode": "AudioAndBackground", "AudioConfig": {"Codec": "wav"}}
        first = {"Tag": "VoiceSeparate", "Operation": {"VoiceSeparate": config, "Output": output}}
        lines = [first, *({"Object": f"in/{nonce}", "UserData": nonce} for nonce in nonces)]
        body = "\n".join(map(json.dumps, lines)).encode()
        headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
        while True:
            status, answer = self.ask("POST", "/batches", body, {**headers, "Idempotency-Key": nonces[0]})
            if status == 200:
                batch = str(json.loads(answer)["Batch"]["BatchId"])
                self._ledger.batches[batch] = rows
                return batch
            if self._over.wait(0.05):
                self._ledger.unanswered |= set(nonces)
                return None

    def _deadline(self) -> str:
        """Return the element of a deadline that is near, or nothing."""
        if self._random.random() >= DEADLINE_SHARE:
            return ""
        at = format_time(round((time.time() + self._random.uniform(2, 6)) * 1e6))
        return f"<Deadline>{at}</Deadline>"

    def _earlier_source(self) -> str | None:
        """Return the nonce of an earlier source, or nothing."""
        if not self._sources or self._random.random() >= EQUAL_SHARE:
            return None
        return self._random.choice(self._sources)

    def _nonce(self) -> str:
        self._count += 1
        return f"n{self._count:06d}-{self._random.getrandbits(32):08x}"

    def _put(self, nonce: str, seconds: float, *, poison: bool) -> None:
        """Write a source of its own."""
        self._s3.put_object(Bucket=BUCKET, Key=f"in/{nonce}", Body=stub.source(nonce, seconds, poison=poison))
        if not poison:
            self._sources = [*self._sources[-30:], nonce]

    def cancel(self, job_id: str) -> None:
        """Cancel a job in any state."""
        status, _ = self.ask("PUT", f"/jobs/{job_id}?cancel", b"", {})
        if status == 200:
            self._ledger.cancels += 1
            self._ledger.cancelled.add(job_id)

    def pause_or_resume(self, queue_id: str, state: str) -> None:
        """Pause or resume the queue; repeat that until it succeeds."""
        names = f"<Name>queue-speech-1</Name><QueueID>{queue_id}</QueueID><State>{state}</State>"
        body = f"<Request>{names}</Request>"
        while self.ask("PUT", f"/asrqueue/{queue_id}", body.encode(), {})[0] != 200:
            time.sleep(0.1)

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of the response; status 0 without one."""
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._ledger.answers[f"{method} 0"] += 1
            return 0, b""
        finally:
            connection.close()
        self._ledger.answers[f"{method} {answer.status}"] += 1
        if answer.status >= 500 and answer.status != 503:
            self._ledger.server_errors.append(f"{method} {path}: {answer.status} {content[:300]!r}")
        return answer.status, content


class Listener:
    """Follows the events of the bucket over breaks of the stream, and keeps what it received."""

    def __init__(self, port: int) -> None:
        self.ids: list[str] = []
        self.states: dict[str, list[str]] = defaultdict(list)
        """Job id to its states, each change once."""
        self.resets = 0
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def last(self) -> str:
        """The id of the last event, or of the place where the stream began."""
        return self.ids[-1] if self.ids else ""

    def close(self) -> None:
        """Stop following; the stream ends with its next heartbeat."""
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._follow()
            self._over.wait(0.05)

    def _follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        headers = {"Last-Event-ID": self.last} if self.ids else {}
        try:
            connection.request("GET", "/events", headers=headers)
            answer = connection.getresponse()
            fields: dict[str, str] = {}
            while answer.status == 200 and not self._over.is_set() and (line := answer.readline()):
                text = line.decode().rstrip("\n")
                if text and not text.startswith(":"):
                    name, _, value = text.partition(": ")
                    fields[name] = value
                elif not text and "id" in fields:
                    self._take(fields)
                if not text:
                    fields = {}
        finally:
            connection.close()

    def _take(self, fields: Mapping[str, str]) -> None:
        self.ids.append(fields["id"])
        self.resets += fields["event"] == "reset"
        if fields["event"] == "job":
            data = json.loads(fields["data"])
            state = "Submitted" if data["State"] == "Pause" else data["State"]
            if self.states[data["JobId"]][-1:] != [state]:
                self.states[data["JobId"]].append(state)


class Receiver:
    """Receives callbacks and records them in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                (detail,) = json.loads(body)["JobsDetail"]
                with ledger.lock:
                    ledger.callbacks[detail["JobId"]].append(detail["State"])
                    ledger.called_at.setdefault(detail["JobId"], time.monotonic())
                    ledger.beat("called back")
                self.send_response_only(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                pass  # a callback worker was killed in the middle of a request

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The URL for callbacks."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/done"

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()
