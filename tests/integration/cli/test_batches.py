"""Commands about batches, events and usage."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from stemline.cli.main import main
from stemline.client.tracks.manifest import NAME
from stemline.testing.processes import eventually
from stemline.workers.feeder import Feeder
from tests.integration.cli.conftest import Service
from tests.support.terminal import Terminal


def make_jobs(service: Service) -> None:
    """Do what every worker does each second: make jobs of the rows that wait."""
    Feeder(service.worker.store).feed()


def test_a_batch_is_submitted_and_followed(service: Service, tmp_path: Path) -> None:
    """Keys of a list become one batch; its counts, its jobs and its failed rows are shown, and retried."""
    service.worker.fails = {"bad"}
    (tmp_path / "keys.txt").write_text("in/good.mp3\n\nin/bad.mp3\n")
    ran = service.run("batches", "create", "--list", str(tmp_path / "keys.txt"), "--name", "night")
    (batch_id,) = ran.stdout.split()
    make_jobs(service)
    service.run("batches", "show", batch_id, "--watch", code=1)
    shown = json.loads(service.run("batches", "show", batch_id, "--json", code=1).stdout)
    assert ("night", "1", "1") == (shown["Name"], shown["SuccessCount"], shown["FailedCount"])
    assert [batch_id] == [line.split("\t")[0] for line in service.run("batches", "list").stdout.splitlines()]
    sources = [line.split("\t")[5] for line in service.run("jobs", "--batch", batch_id).stdout.splitlines()]
    assert {"in/good.mp3", "in/bad.mp3"} == set(sources)
    assert "1 row retried" in service.run("batches", "retry", batch_id).stdout
    eventually(lambda: 2 == service.client.batch(batch_id).succeeded, what="the retry has succeeded")
    service.run("batches", "show", batch_id, "--watch")


def test_lists_of_keys_are_read_as_those_of_submit(service: Service, tmp_path: Path) -> None:
    """Encodings, comments, NUL, s3:// and white space mean the same in both; a wrong line is named."""
    service.worker.holds.set()
    start = f"s3://{service.s3.bucket}/"
    service.s3.client.put_object(Bucket=service.s3.bucket, Key="in/b.mp3 ", Body=b"x")
    contents = [
        ("in/a.mp3\nin/b.mp3\n", ["in/a.mp3", "in/b.mp3"]),
        ("\ufeffin/a.mp3\r\n\r\n  in/c.mp3 \n", ["in/a.mp3", "in/c.mp3"]),
        ("#EXTM3U\nin/a.mp3\n" + start + "#1.mp3\n", ["in/a.mp3", "#1.mp3"]),
        ("in/a.mp3\0in/b.mp3 \0", ["in/a.mp3", "in/b.mp3 "]),
        (start + "in/a.mp3\n" + start + "in/b.mp3 \n", ["in/a.mp3", "in/b.mp3 "]),
    ]
    file = tmp_path / "keys.list"
    for encoding in ("utf-8", "utf-16"):
        for text, keys in contents:
            file.write_bytes(text.encode(encoding))
            batch = service.run("batches", "create", "--list", str(file)).stdout.strip()
            make_jobs(service)
            assert sorted(keys) == sorted(job.source for job in service.client.list(batch=batch)), text
            out = tmp_path / f"{batch}-out"
            service.run("submit", str(file), "-o", str(out), "--no-wait")
            assert {*keys} == read_sources(out), text
    made = service.run("batches", "create", f"{start}in/a.mp3", "in/b.mp3").stdout.strip()
    make_jobs(service)
    assert {"in/a.mp3", "in/b.mp3"} == {job.source for job in service.client.list(batch=made)}
    for content, said in [
        (b"in/a.mp3\nin/\xff.mp3\n", f"line 2 of {file}: in/?.mp3 is no key"),
        (b"s3://other-1/a.mp3\n", f"line 1 of {file}: jobs of"),
        (start.encode(), f"line 1 of {file}: {start} names no object"),
        (b"# mine\n\nin/a.mp3\n" + b"x" * 1100 + b"\n", f"InvalidArgument: line 4 of {file}: "),
    ]:
        file.write_bytes(content)
        ran = CliRunner().invoke(main, ["batches", "create", "--list", str(file)])
        assert ran.exit_code != 0
        assert ran.stderr.startswith(f"Error: {said}"), ran.stderr


def read_sources(folder: Path) -> set[str]:
    """The keys that a run over many tracks has submitted."""
    lines = map(json.loads, (folder / NAME).read_text().splitlines())
    return {line["key"] for line in lines if "track" in line}


def test_a_batch_that_is_not_there_is_no_empty_list(service: Service) -> None:
    """A mistyped batch is status 5 in every command; an invalid span of time is status 2."""
    for batch_id in ("b" + "0" * 32, "nosuch"):
        for words in (["jobs", "--batch"], ["batches", "show"], ["fetch", "--batch"], ["batches", "pause"]):
            assert 5 == CliRunner().invoke(main, [*words, batch_id]).exit_code, (words, batch_id)
    for words in (["jobs"], ["cancel"], ["retry"]):
        assert "--since is later" in service.run(*words, "--since", "1h", "--until", "2h", code=2).stderr


def test_a_batch_is_paused_resumed_and_cancelled(service: Service) -> None:
    """The command prints the batch after each change; what is given twice or not at all is refused."""
    service.worker.holds.set()
    created = service.run("batches", "create", "in/1.mp3", "in/2.mp3", "--level", "2", "--json").stdout
    batch_id = json.loads(created)["BatchId"]
    assert "Paused" in service.run("batches", "pause", batch_id).stdout
    assert "Active" == json.loads(service.run("batches", "resume", batch_id, "--json").stdout)["State"]
    assert "Cancel" in service.run("batches", "cancel", batch_id).stdout
    service.run("batches", "create", code=2)
    service.run("batches", "create", "in/1.mp3", "--manifest", "rows.ndjson", code=2)
    service.run("batches", "show", "b" + "0" * 32, code=5)


def test_a_batch_has_a_bar_on_a_terminal(service: Service, tmp_path: Path) -> None:
    """--watch draws how many rows have ended, and the counts at the end."""
    service.worker.holds.set()
    batch_id = service.client.create_batch(["in/1.mp3", "in/2.mp3"], name="night").id
    with Terminal(
        "batches", "show", batch_id, "--watch", environment=service.environment, folder=tmp_path
    ) as terminal:
        terminal.wait_for("0/2")
        service.worker.holds.clear()
        make_jobs(service)
        terminal.wait_for("Done")
        assert 0 == terminal.end(180)


def test_events_are_printed_until_a_job_ends(service: Service) -> None:
    """The events of a job end with it; --after goes on behind an event, and --json has all of it."""
    job = service.client.submit("in/a.mp3").id
    lines = service.run("events", job).stdout.splitlines()
    assert ["job", job, "Success"] == lines[-1].split("\t")[1:4]
    details = [line.split("\t")[4] for line in lines]
    assert [] == [each for each in details if "Success" in each]
    service.worker.fails = {"in/bad"}
    failed = service.client.submit("in/bad.mp3").id
    last = service.run("events", failed).stdout.splitlines()[-1].split("\t")
    assert ["job", failed, "Failed"] == last[1:4]
    assert "InvalidContent" in last[4]
    events = [json.loads(line) for line in service.run("events", job, "--json").stdout.splitlines()]
    assert ("job", "Success") == (events[-1]["event"], events[-1]["State"])
    assert "" == service.run("events", job, "--after", events[-1]["id"]).stdout
    service.run("events", "j" + "0" * 32, code=5)
    for wrong in ("foo", "1-", "1-2-3"):
        ran = service.run("events", "--after", wrong, code=2)
        assert f"--after': {wrong} is not the id of an event; --json prints ids" in ran.stderr


def test_usage_is_shown_by_day(service: Service) -> None:
    """A row for each credential and day; days without jobs have none."""
    service.client.wait(service.client.submit("in/a.mp3").id, timeout_s=180)
    (row,) = service.run("usage").stdout.splitlines()
    assert [service.client.target.secret_id, "1", "1", "0"] == row.split("\t")[1:5]
    assert "1" == json.loads(service.run("usage", "--json").stdout)["JobCount"]
    assert "" == service.run("usage", "--from", "2020-01-01", "--to", "2020-01-02").stdout
    service.run("usage", "--from", "yesterday", code=2)
    for words, said in [
        (["--from", "2999-01-01"], "--from 2999-01-01 is in the future"),
        (["--from", "2026-02-02", "--to", "2026-02-01"], "--from 2026-02-02 is later than --to 2026-02-01"),
        (["--from", "1990-01-01"], "--from 1990-01-01 is more than 366 days before today"),
        (
            ["--from", "1990-01-01", "--to", "1992-01-01"],
            "--from 1990-01-01 is more than 366 days before --to",
        ),
    ]:
        assert said in service.run("usage", *words, code=2).stderr
