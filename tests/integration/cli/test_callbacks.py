"""The commands for callbacks, on a real store and over real connections."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from stemline.cli.listener import Behaviour, Listener, pretty
from stemline.cli.main import main
from stemline.cli.output import screen
from stemline.jobs.callback import CallbackRequest, MqConfig
from stemline.testing.processes import eventually
from stemline.testing.receiver import answer, receiving
from tests.integration.callbacks.conftest import bench

__all__ = ["bench"]

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def stemline(valkey_server, monkeypatch):
    """Run a command against the tests' store."""
    monkeypatch.setenv("STEMLINE_REDIS_URL", valkey_server.url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["store", "callbacks", *words])
        assert code == result.exit_code, result.output
        return result.output

    return run


@pytest.fixture
def letters(bench):
    """A bench with two dead letters to a URL with a password, and one to a queue."""
    bench = bench(callback_schedule_s=(0,))
    with receiving(answer(500, b"[red]broken[/red]")) as receiver:
        url = receiver.url.replace("127", "user:hush@127")
        dead = [bench.post_to(url), bench.post_to(url)]
        dead.append(bench.end_job(CallbackRequest(type="TDMQ", mq=MqConfig("gz", "Queue", "voice-done"))))
        for delivery in dead:
            bench.try_(delivery)
            bench.clock.advance(10)
    return bench, dead


def test_dead_letters_are_listed_by_filter(letters, stemline):
    """The list shows the target of each dead letter and how it failed; filters narrow it."""
    _, dead = letters
    table = stemline("list")
    assert all(d.id in table for d in dead)
    assert "3 of 3" in table
    assert "gz/voice-done" in table
    assert "no-endpoint" in table

    def ids(*options: str) -> set[str]:
        return {json.loads(line)["id"] for line in stemline("list", "--json", *options).splitlines()}

    assert {dead[0].id, dead[1].id} == ids("--host", "127.0.0.1")
    assert {dead[2].id} == ids("--host", "gz/voice-done")
    assert {d.id for d in dead} == ids("--tenant", "ap-chongqing/media-1250000000")
    assert set() == ids("--tenant", "ap-chongqing/other-1250000000")
    assert {dead[2].id} == ids("--since", "2026-09-21T22:13:40+0800")
    assert {dead[1].id} == ids("--page", "2", "--size", "1")


def test_one_is_shown_with_all_its_attempts(letters, stemline):
    """A callback is shown by its id or the job's, with the responses and without passwords."""
    _, dead = letters
    for name in (dead[0].id, dead[0].job_id):
        shown = stemline("show", name)
        assert "[red]broken[/red]" in shown
        assert "500" in shown
        assert "user:***@127.0.0.1" in shown
    shown = json.loads(stemline("show", "--json", dead[0].id))
    assert ("dead", ["500"]) == (shown["status"], [a["status"] for a in shown["attempts"]])
    assert "hush" not in json.dumps(shown)
    assert "no callback" in stemline("show", "d0", code=5)


def test_replays(letters, stemline):
    """Dead letters are replayed one by one, by filter or all; without a selection nothing happens."""
    bench, dead = letters
    assert "1 replayed" in stemline("replay", dead[0].id)
    assert "1 replayed" in stemline("replay", "--host", "127.0.0.1")
    bench.clock.now = time.time_ns() // 1000
    assert {dead[0].id, dead[1].id} == set(bench.store.outbox.due())
    assert "are not dead letters" in stemline("replay", dead[0].id, code=1)
    stemline("replay", code=2)
    stemline("replay", "--all", dead[0].id, code=2)
    assert "1 replayed" in stemline("replay", "--all")
    assert 0 == bench.store.outbox.dead().total


def test_invalid_options_are_usage_errors(stemline):
    """A time or a bucket that cannot be parsed is reported."""
    assert "is neither" in stemline("list", "--since", "yesterday", code=2)
    assert "is not region/bucket" in stemline("list", "--tenant", "bucket", code=2)


def test_a_store_that_does_not_answer(monkeypatch):
    """Without a store the command reports which variable to set, in one line."""
    monkeypatch.setenv("STEMLINE_REDIS_URL", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(main, ["store", "callbacks", "list"])
    assert 3 == result.exit_code
    assert "STEMLINE_REDIS_URL" in result.output


def test_beside_a_local_stack(valkey, valkey_server, tmp_path, monkeypatch):
    """Where a local stack runs, its store is found without any setting."""
    (tmp_path / "stack.json").write_text(json.dumps({"redis_url": valkey_server.url}))
    monkeypatch.delenv("STEMLINE_REDIS_URL", raising=False)
    monkeypatch.setenv("STEMLINE_HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["store", "callbacks", "list"])
    assert "0 of 0" in result.output


@pytest.mark.parametrize("form", ["XML", "JSON"])
def test_listen_prints_callbacks_and_checks_signatures(bench, form):
    """A callback is printed with its job, state and body; a wrong signature is reported and answered 401."""
    bench = bench(webhook_secrets=[SECRET])
    out = io.StringIO()
    console = Console(file=out, width=300)
    with Listener(("127.0.0.1", 0), console, Behaviour((SECRET,))) as listener:
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}/here"
        bench.clock.now = time.time_ns() // 1000
        delivery = bench.end_job(CallbackRequest(url=url, format=form), fail=True)
        assert "delivered" == bench.try_(delivery).status
        eventually(lambda: "ResourceNotFound" in out.getvalue())
        assert all(word in out.getvalue() for word in (delivery.job_id, "Failed", "signature good", "/here"))

        bench.clock.advance(-1000)
        late = bench.try_(bench.end_job(CallbackRequest(url=url, format=form)))
        assert "401" == late.attempts[0].status
        eventually(lambda: "signature bad" in out.getvalue())
        listener.shutdown()


def test_listen_marks_repetitions(bench):
    """A callback that is sent again is marked, and the status to answer with can be chosen."""
    bench = bench()
    out = io.StringIO()
    with Listener(("127.0.0.1", 0), Console(file=out, width=300), Behaviour(status=503)) as listener:
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        delivery = bench.post_to(f"http://127.0.0.1:{listener.server_port}/")
        bench.try_(delivery)
        assert "seen before" not in out.getvalue()
        bench.clock.advance(5)
        assert ["503", "503"] == [a.status for a in bench.try_(delivery).attempts]
        eventually(lambda: "seen before" in out.getvalue())
        listener.shutdown()


def test_listen_answers_before_it_prints(bench):
    """A terminal that is not read, as after Ctrl-S, keeps no callback waiting."""
    bench = bench()
    unread = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            unread.wait(300)
            return super().write(text)

    out = Stuck()
    with Listener(("127.0.0.1", 0), Console(file=out, width=300), Behaviour()) as listener:
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        try:
            delivery = bench.post_to(f"http://127.0.0.1:{listener.server_port}/")
            assert "delivered" == bench.try_(delivery).status
            assert "" == out.getvalue()
        finally:
            unread.set()
        eventually(lambda: delivery.job_id in out.getvalue())
        listener.shutdown()


@pytest.mark.parametrize(
    ("behaviour", "expected"), [(answer(204), "204"), (answer(500), "500"), (None, "502")]
)
def test_listen_sends_callbacks_on(bench, behaviour, expected):
    """With --forward a program gets each callback with its signature, and its status is the answer."""
    bench = bench(webhook_secrets=[SECRET])
    with receiving(behaviour or answer(200)) as program:
        url = program.url if behaviour else "http://127.0.0.1:9/"
        out = io.StringIO()
        console = Console(file=out, width=300)
        with Listener(("127.0.0.1", 0), console, Behaviour((SECRET,), forward=url)) as listener:
            threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
            bench.clock.now = time.time_ns() // 1000
            delivery = bench.post_to(f"http://127.0.0.1:{listener.server_port}/")
            assert expected == bench.try_(delivery).attempts[0].status
            eventually(lambda: "TaskFinish" in out.getvalue())
            listener.shutdown()
        said = f"{url} does not answer: Connection refused"
        assert (behaviour is None) is (said in out.getvalue())
        if behaviour:
            assert program.received[0].headers["webhook-id"] == delivery.id
            assert delivery.job_id.encode() in program.received[0].body


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--answer", "99"], "200<=x<=599"),
        (["--answer", "600"], "200<=x<=599"),
        (["--secret", "whsec_not base64!"], "whsec_ and base64"),
        (["--secret", "whsec_"], "whsec_ and base64"),
    ],
)
def test_listen_refuses_what_no_callback_could_meet(words: list[str], said: str) -> None:
    """An answer that is no answer, and a secret that signs nothing, end the command before it listens."""
    result = CliRunner().invoke(main, ["listen", "--port", "0", *words])
    assert 2 == result.exit_code
    assert said in result.output


def test_listen_writes_short_lines_to_a_file(bench, monkeypatch):
    """Where the output is no terminal a callback has a heading of its own length; no line is wrapped."""
    bench = bench()
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    with Listener(("127.0.0.1", 0), screen(), Behaviour()) as listener:
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        delivery = bench.post_to(f"http://127.0.0.1:{listener.server_port}/{'long' * 40}")
        assert "delivered" == bench.try_(delivery).status
        eventually(lambda: "JobId" in out.getvalue())
        listener.shutdown()
    lines = out.getvalue().splitlines()
    # Log lines of this process may stand before it, as earlier tests have set it up.
    at = next(number for number, line in enumerate(lines) if line.startswith(delivery.job_id))
    heading, notes = lines[at : at + 2]
    assert [delivery.job_id, "Success"] == heading.split()
    assert notes.startswith(f"/{'long' * 40}, signature ")


@pytest.fixture
def listening():
    """A listener that prints into a text, with the bodies that it answered."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    with Listener(("127.0.0.1", 0), console, Behaviour((SECRET,))) as listener:
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        yield listener, out
        listener.shutdown()


def send(listener, body, length=None, path="/"):
    """Send a body that nobody signed; return the status, None where there is no answer."""
    lines = f"POST {path} HTTP/1.0\r\nContent-Length: {length or len(body)}\r\n\r\n".encode("latin-1")
    with socket.create_connection(("127.0.0.1", listener.server_port), timeout=60) as connection:
        connection.sendall(lines + body)
        answer = connection.makefile("rb").read()
    return int(answer.split(b" ")[1]) if answer else None


@pytest.mark.parametrize(
    "body",
    [
        b"<a>" * 900 + b"<b/>" * 60_000 + b"</a>" * 900,
        b"[" * 900 + b"1," * 120_000 + b"1" + b"]" * 900,
        b"<a>" * 20_000 + b"</a>" * 20_000,
        b"[" * 200_000,
        b"<a>" + b"<b/>" * 240_000 + b"</a>",
    ],
    ids=["xml", "json", "deep xml", "deep json", "long"],
)
def test_listen_shows_no_body_much_longer_than_it_is(body):
    """What anybody may send to a listener is not blown up by indenting it."""
    text, _ = pretty(body)
    assert len(text) <= max(len(body), 1 << 20)


def test_listen_prints_nothing_that_a_terminal_obeys(listening):
    """Bodies, names in them and paths are shown with escapes."""
    listener, out = listening
    bodies = [
        '{"JobId": "a\u001b[31mb", "State": "c\u009bd"}',
        "<a><JobId>\u202ee</JobId></a>",
        "\x1b]0;f\x07g\r\n",
    ]
    for body in bodies:
        assert 401 == send(listener, body.encode(), path="/h\x1b[2Ji")
    eventually(lambda: "g" in out.getvalue(), 30, "the last body")
    obeyed = set("\x9b\u202e\x07\r") | {"\x1b]", "\x1b[2J"}
    assert not {each for each in obeyed if each in out.getvalue()}


@pytest.mark.parametrize("length", ["\xb2", "-1", "+1", "1_0", "9" * 5000, " "])
def test_listen_refuses_odd_lengths(listening, length):
    """An invalid length is answered, and ends nothing."""
    listener, _ = listening
    assert 413 == send(listener, b"", length)
    assert 401 == send(listener, b"{}")


@pytest.mark.parametrize("behaviour", [b"ODD\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300, b""])
def test_listen_answers_where_what_it_sends_on_to_is_odd(behaviour):
    """An invalid answer is a 502, and so is a missing one."""
    with (
        receiving(lambda connection, _: connection.sendall(behaviour)) as receiver,
        Listener(("127.0.0.1", 0), Console(file=io.StringIO()), Behaviour(forward=receiver.url)) as listener,
    ):
        threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
        assert 502 == send(listener, b"{}")
        listener.shutdown()


def test_listen_says_that_its_port_is_taken():
    """Where another program listens, the command ends with one line and a hint."""
    with receiving() as other:
        ran = CliRunner().invoke(main, ["listen", "--port", str(other.port)])
    assert 1 == ran.exit_code
    assert f"port {other.port} of 127.0.0.1 is taken" in ran.stderr
    assert "--port 0" in ran.stderr
    assert 2 == CliRunner().invoke(main, ["listen", "--forward", "localhost:3000"]).exit_code
