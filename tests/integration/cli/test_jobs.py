"""Commands about jobs, queues, templates and profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemline.jobs.delivery import DeliveryAttempt
from stemline.testing.client import SECRET_ID, SECRET_KEY
from stemline.testing.processes import eventually
from tests.integration.cli.conftest import Service
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow


def ended(service: Service, source: str = "in/a.mp3", **parameters: Any) -> str:
    """The id of a job that has ended."""
    job = service.client.submit(source, **parameters)
    service.client.wait(job.id, timeout_s=180, check=False)
    return job.id


def test_jobs_are_listed_and_filtered(service: Service) -> None:
    """The list has the latest first; state, source, age and number narrow it; JSON holds the whole answer."""
    service.worker.fails = {"bad"}
    good, bad = ended(service, "in/good.mp3"), ended(service, "in/bad.mp3")
    lines = [line.split("\t") for line in service.run("jobs").stdout.splitlines()]
    assert [[bad, "Failed"], [good, "Success"]] == [line[:2] for line in lines]
    assert ["InvalidContent: The source has no audio stream.", ""] == lines[0][-2:]
    assert "2stems" == lines[1][-1]
    assert "2stems" in service.run("job", good).stdout
    assert bad in service.run("jobs", "--state", "failed").stdout
    assert [good] == [
        line.split("\t")[0] for line in service.run("jobs", "--source", "in/good.mp3").stdout.splitlines()
    ]
    assert 1 == len(service.run("jobs", "--limit", "1").stdout.splitlines())
    assert "" == service.run("jobs", "--until", "1h").stdout
    shown = [
        json.loads(line)
        for line in service.run("jobs", "--json", "--queue", "queue-speech-1").stdout.splitlines()
    ]
    assert [bad, good] == [each["JobId"] for each in shown]


def test_a_job_is_shown_with_all_that_is_known(service: Service) -> None:
    """Times, attempt, worker, stems, the failure with advice; the status is 1 for a job that failed."""
    text = service.run("job", ended(service)).stdout
    for words in ("Success", "waited", "took", "1 on test@worker", "stem       voice: stems/j"):
        assert words in text
    service.worker.fails = {"bad"}
    bad = ended(service, "in/bad.mp3")
    text = service.run("job", bad, code=1).stdout
    assert "what to do give a file that has sound in it" in text
    assert "Failed" == json.loads(service.run("job", bad, "--json", "--watch", code=1).stdout)["State"]
    for unknown in ("j0", "a/b", ".."):
        assert f"there is no job {unknown}" in service.run("job", unknown, code=5).stderr


def test_jobs_are_cancelled_by_id_and_by_filter(service: Service) -> None:
    """Ids that cannot be cancelled are reported, the others are; a filter asks before it cancels many."""
    old = ended(service)
    service.worker.holds.set()
    waiting = [service.client.submit(f"in/{number}.mp3").id for number in range(4)]
    eventually(lambda: "Running" in {service.client.get(each).state for each in waiting}, what="one runs")
    ran = service.run("cancel", waiting[3], old, "j" + "0" * 32, code=1)
    assert [waiting[3]] == [line.split("\t")[0] for line in ran.stdout.splitlines()]
    assert f"{old}: " in ran.stderr
    assert "Cancel" == service.client.get(waiting[3]).state
    assert (
        "3 jobs would be cancelled" in service.run("cancel", "--queue", "queue-speech-1", "--dry-run").stdout
    )
    service.run("cancel", "--state", "Submitted", code=1)  # nobody answers the question
    assert "2 jobs cancelled" in service.run("cancel", "--state", "Submitted", "--yes").stdout
    states = [service.client.get(each).state for each in waiting]
    assert ("Running", 3) == (states[0], states.count("Cancel"))
    service.run("cancel", code=2)
    service.run("cancel", old, "--state", "Running", code=2)
    service.run("cancel", "--state", "Success", code=2)
    assert "0 jobs cancelled" in service.run("cancel", "--prefix", "other/").stdout
    assert "1 job would be" in service.run("cancel", "--level", "0", "--dry-run").stdout
    assert "0 jobs would be" in service.run("cancel", "--level", "1", "--dry-run").stdout


def test_ids_that_do_not_exist_are_said_apart(service: Service) -> None:
    """An unknown id is status 5, also for a dry run, which counts only what would be changed."""
    service.worker.holds.set()
    job = service.client.submit("in/a.mp3").id
    nobody = "j" + "0" * 32
    for command, possible in (("cancel", True), ("retry", False)):
        ran = service.run(command, nobody, code=5)
        said = service.run(command, "--dry-run", nobody, code=5).stderr
        assert ("", said) == (ran.stdout, ran.stderr)
        ran = service.run(command, "--dry-run", job, job, nobody, code=5 if possible else 1)
        assert [job][: int(possible)] == [line.split("\t")[0] for line in ran.stdout.splitlines()]
        assert f"{nobody}: there is no such job" in ran.stderr
        assert f"stemline jobs` lists those of {service.client.target.bucket}" in ran.stderr
    answer = json.loads(service.run("cancel", "--dry-run", "--json", job, nobody, code=5).stdout)
    assert ({job: ""}, [nobody]) == (answer["cancelled"], list(answer["failed"]))
    assert service.client.get(job).state in {"Submitted", "Running"}


def test_an_empty_word_means_nothing(service: Service) -> None:
    """A variable that is not set gives an empty word, which is refused instead of meaning everything."""
    for words in (
        ("submit", "", "-o", "out"),
        ("submit", "a.mp3", "-o", ""),
        ("separate", "", "-o", "out"),
        ("job", ""),
        ("cancel", ""),
        ("cancel", "--state", "Running", "--queue", ""),
        ("cancel", "--prefix", ""),
        ("retry", " "),
        ("pause", ""),
        ("callbacks", "replay", "--host", ""),
        ("templates", "delete", ""),
    ):
        assert "it is empty" in service.run(*words, code=2).stderr


def test_changes_are_printed_as_they_happen(service: Service) -> None:
    """`--watch --json` prints each job again when it has changed, until all that were named have ended."""
    service.worker.holds.set()
    job = service.client.submit("in/a.mp3").id
    eventually(lambda: service.client.get(job).state == "Running", what="it runs")
    with Terminal("jobs", "--watch", "--json", environment=service.environment, folder=Path.cwd()) as shown:
        shown.wait_for(f'"JobId": "{job}".*"State": "Running"')
        service.worker.holds.clear()
        shown.wait_for(f'"JobId": "{job}".*"State": "Success"')
        shown.ctrl_c()
        assert 130 == shown.end()
    lines = service.run("job", job, "--watch", "--json").stdout.splitlines()
    assert ["Success"] == [json.loads(line)["State"] for line in lines]


def test_failed_jobs_are_submitted_again(service: Service) -> None:
    """`retry` makes a new job with the source, the stems and the names of the old one, by id or by filter."""
    service.worker.fails = {"bad", "worse"}
    old = ended(service, "in/bad.mp3", codec="mp3", user_data="mine")
    name, new = service.run("retry", old).stdout.split()
    job = service.client.wait(new, timeout_s=180)
    assert (old, "in/bad.mp3", "mp3", "mine") == (name, job.source, job.codec, job.user_data)
    ended(service, "in/worse.mp3")
    assert 1 == json.loads(service.run("retry", "--state", "Failed", "--json").stdout)["count"]
    assert "0 jobs retried" in service.run("retry", "--all").stdout


def test_queues_are_paused_and_resumed(service: Service) -> None:
    """`queues` shows state and limits, `pause` and `resume` change them."""
    assert "Paused" in service.run("pause").stdout
    assert "\tPaused\t" in service.run("queues").stdout
    answer = json.loads(service.run("resume", "--concurrent", "7", "--json").stdout)
    assert ("Active", "7") == (answer["State"], answer["MaxConcurrent"])
    assert ["Active"] == [
        json.loads(line)["State"] for line in service.run("queues", "--json").stdout.splitlines()
    ]
    assert "there is no queue other" in service.run("pause", "other", code=5).stderr


def test_templates_are_created_listed_and_deleted(service: Service) -> None:
    """A template is made of the options that a submission has; its id or its name deletes it."""
    name = service.run("templates", "create", "music", "--stems", "4", "--codec", "mp3").stdout.strip()
    assert [name, "music", "MusicMode"] == service.run("templates", "list").stdout.split("\t")[:3]
    service.run("templates", "delete", name)
    assert "" == service.run("templates", "list").stdout
    service.run("templates", "create", "other")
    assert f"no template {name}" in service.run("templates", "delete", name, "other", code=5).stderr
    assert "" == service.run("templates", "list").stdout


def test_callbacks_are_shown_whatever_their_status(service: Service) -> None:
    """A callback is shown by its id or its job's while it is still tried; unknown ids and hosts are said."""
    job = ended(service, callback="http://127.0.0.1:9/hook")
    shown = service.run("callbacks", "show", job).stdout
    assert "to         http://127.0.0.1:9/hook" in shown
    assert "Pending" in shown
    assert "there is no callback j0, j1" in service.run("callbacks", "show", "j0", job, "j1", code=5).stderr
    assert "there is no callback d0" in service.run("callbacks", "replay", "d0", code=5).stderr
    assert (
        "no dead callback to nobody" in service.run("callbacks", "replay", "--host", "nobody", code=5).stderr
    )
    service.run("callbacks", "replay", code=2)
    other = ended(service, callback="http://127.0.0.1:9/hook")
    lines = service.run("callbacks", "show", job, other, "--json").stdout.splitlines()
    assert [job, other] == [json.loads(line)["JobId"] for line in lines]


def test_callbacks_are_listed_and_sent_in_every_status(service: Service) -> None:
    """One that is still tried and one that was given up are in the list, and both are sent now."""
    jobs = [ended(service, callback="http://127.0.0.1:9/hook") for _ in range(2)]
    names = ["d" + job[1:] for job in jobs]
    store = service.worker.store
    store.outbox.record(names[0], DeliveryAttempt(1, "refused", 2), next_due=None, status="dead")
    listed = {
        line.split("\t")[0]: line.split("\t")[1]
        for line in service.run("callbacks", "list").stdout.splitlines()
    }
    assert {names[0]: "Dead", names[1]: "Pending"} == listed
    assert names[1] in service.run("callbacks", "list", "--status", "pending").stdout
    assert "1 callback would be" in service.run("callbacks", "replay", "--all", "--dry-run").stdout
    assert "2 callbacks are sent" in service.run("callbacks", "replay", *jobs).stdout
    assert "" == service.run("callbacks", "list", "--status", "dead").stdout


def test_a_login_is_checked_and_stored(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is stored once service and bucket accept it; its name or a variable makes commands use it."""
    target = service.client.target
    words = [
        "--api",
        target.api,
        "--secret-id",
        SECRET_ID,
        "--bucket",
        target.bucket,
        "--region",
        target.region,
    ]
    refused = service.run("login", "other", *words, "--secret-key", "wrong", code=4)
    assert "SignatureDoesNotMatch" in refused.stderr
    said = service.run("queues", "--profile", "other", code=3).stderr
    assert "there is no profile other" in said
    assert "login other` stores it" in said
    assert "accepts the keys" in service.run("login", "other", *words, "--secret-key", SECRET_KEY).stdout
    words += ["--secret-key", SECRET_KEY, "--s3-endpoint-url", service.s3.endpoint_url, "--s3-access-key"]
    keys = [service.s3.access_key, "--s3-secret-key", service.s3.secret_key]
    assert "the bucket accepts its own" in service.run("login", "other", *words, *keys).stdout
    for code, wrong in [
        (4, [service.s3.access_key, "--s3-secret-key", "wrong"]),
        (4, ["nobody", "--s3-secret-key", service.s3.secret_key]),
        (5, [*keys, "--bucket", "none-1250000000"]),
    ]:
        assert "Hint: check --bucket" in service.run("login", "third", *words, *wrong, code=code).stderr
    service.run("login", "third", *words, *keys, "--bucket", "none-1250000000", "--no-check")
    assert "no bucket none-1250000000" in service.run("jobs", "--profile", "third", code=5).stderr
    assert "Hint: check --bucket" in service.run("login", *words, *keys, "--bucket", "none-1", code=5).stderr
    service.run("login", *words, *keys, "--bucket", "none-1250000000", "--no-check")
    assert "no bucket none-1250000000" in service.run("jobs", code=5).stderr
    assert "NoSuchBucket" in service.run("doctor", "service", code=1).stdout
    monkeypatch.setenv("STEMLINE_PROFILE", "other")
    service.run("queues")


def test_the_service_is_found_by_options_and_variables(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Options or variables name the service; the status is 3 without all of them, 2 without one."""
    target = service.client.target
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setenv("STEMLINE_HOME", str(tmp_path_factory.mktemp("none")))
    assert "stemline up" in service.run("queues", code=3).stderr
    given = ("--api", target.api, "--secret-id", SECRET_ID, "--secret-key", SECRET_KEY)
    service.run("jobs", *given, "--bucket", target.bucket, "--region", target.region)
    ran = service.run("jobs", *given, "--bucket", target.bucket, code=2)
    assert f"the region of the bucket {target.bucket} is missing: --region names it" in ran.stderr
    for name, value in (("API", target.api), ("SECRET_ID", SECRET_ID), ("SECRET_KEY", SECRET_KEY)):
        monkeypatch.setenv(f"STEMLINE_{name}", value)
    service.run("jobs")
    assert "does not answer" in service.run("jobs", "--api", "http://127.0.0.1:9", code=3).stderr


def test_errors_are_one_line_and_a_hint(service: Service) -> None:
    """A mistyped command is answered with the nearest ones, a refusal with its code and request."""
    assert "Did you mean queues" in service.run("queus", code=2).stderr
    assert "Did you mean create" in service.run("templates", "creat", code=2).stderr
    ran = service.run("submit", "x", "--codec", "amr", "--stems", "4", code=5)
    assert ["Error", "Hint"] == [line.partition(":")[0] for line in ran.stderr.splitlines()], ran.stderr
    service.s3.client.put_object(Bucket=service.s3.bucket, Key="x", Body=b"x")
    ran = service.run("submit", "x", "--codec", "amr", "--stems", "4", code=1)
    assert "InvalidArgument: With MusicMode, AudioConfig.Codec must be one of" in ran.stderr
