"""Claims give a worker only jobs whose model it serves; those that nobody serves wait, and say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stemline.jobs.errors import QueueFull
from stemline.jobs.job import JobSpec
from stemline.jobs.separation import AudioMode
from stemline.jobs.serving import COMMON, MAX_WANTED, Demand, announced
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import Store, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import ALIVE_S, Worker
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, Make, spec

VOICE = {"AudioAndBackground", "2stems"}
HEAVY = {"htdemucs", "bag"}


def wanting(model: str | None = None, *, music: bool = False, tenant: Tenant = TENANT, **changes) -> JobSpec:
    """A job that names a model, or one of a mode."""
    mode = AudioMode.MUSIC_MODE if music else AudioMode.IS_AUDIO
    plain = spec(tenant=tenant, **changes)
    return replace(plain, separate=replace(plain.separate, audio_mode=mode, model=model))


def submit(store: Store, *specs: JobSpec) -> list[str]:
    return [store.jobs.create([each])[0].id for each in specs]


def claim(store: Store, *serves: str) -> str | None:
    job = store.attempts.claim("w", [2, 1, 0], serves) if serves else store.attempts.claim("w", [2, 1, 0])
    return None if job is None else job.id


def report(store: Store, *serves: str, name: str = "w", announces: bool = True) -> None:
    known = announced(serves) if announces else None
    store.workers.report(Worker(name, "separation", 2, (2, 1, 0), "cpu", "1.0", 5, serves=known))


def message(store: Store, job_id: str) -> str:
    job = store.jobs.find(job_id)
    assert job is not None
    return job.message


def test_a_claim_returns_only_what_the_worker_serves(store: Store) -> None:
    """A worker gets the oldest job that it serves, whatever lies before it; another gets the rest."""
    heavy, music, voice, named, plain = submit(
        store, wanting("htdemucs"), wanting(music=True), wanting(), wanting("2stems"), wanting("4stems")
    )
    assert [voice, named, None] == [claim(store, *VOICE) for _ in range(3)]
    assert [heavy, None] == [claim(store, *HEAVY) for _ in range(2)]
    assert [music, plain, None] == [claim(store, *COMMON) for _ in range(3)]


def test_a_worker_of_an_earlier_release_does_the_common_jobs(store: Store) -> None:
    """A claim that names nothing gets what Spleeter's two networks answer, and nothing else."""
    _, *common = submit(
        store, wanting("htdemucs"), wanting(), wanting(music=True), wanting("4stems"), wanting("2stems")
    )
    assert [*common, None] == [claim(store) for _ in range(5)]


def test_levels_come_before_models(store: Store) -> None:
    """A worker that serves several models takes the highest level of all of them, then the oldest."""
    low, heavy, high, voice = submit(
        store, wanting(), wanting("htdemucs"), wanting("htdemucs", level=2), wanting(level=1)
    )
    assert [high, voice, low, heavy] == [claim(store, *VOICE, *HEAVY) for _ in range(4)]


def test_queues_take_turns_whatever_their_jobs_want(store: Store) -> None:
    """The jobs of one tenant in two models do not give it more turns than another has."""
    mine = submit(store, wanting(), wanting("htdemucs"), wanting(), wanting("htdemucs"))
    theirs = submit(store, *(wanting(tenant=OTHER) for _ in range(2)))
    order = [claim(store, *VOICE, *HEAVY) for _ in range(6)]
    assert 2 == len(set(order[:4]) & set(theirs))
    assert {*mine, *theirs} == set(order)


def test_turns_that_no_worker_served_are_not_made_up_for(store: Store) -> None:
    """A tenant whose jobs nobody could do gets one job ahead of others afterwards, and not all of them."""
    unserved = submit(store, *(wanting("htdemucs") for _ in range(3)))
    for _ in range(5):
        (job,) = submit(store, wanting(tenant=OTHER))
        assert job == claim(store, *VOICE)
    late = submit(store, *(wanting("htdemucs", tenant=OTHER) for _ in range(3)))
    order = [claim(store, *HEAVY) for _ in range(6)]
    assert order[0] in unserved
    assert late[0] in order[1:3]
    assert late[1] in order[3:5]
    assert {*unserved, *late} == set(order)


def test_shares_take_turns_in_every_line(store: Store) -> None:
    """Credentials with weights take turns among the jobs that a worker serves."""
    jobs = {
        name: submit(
            store,
            *(wanting("htdemucs", credential=name, weight=100) for _ in range(2)),
            wanting(credential=name, weight=100),
        )
        for name in ("AKIDa", "AKIDb")
    }
    order = [claim(store, "htdemucs") for _ in range(4)]
    assert [{jobs["AKIDa"][i], jobs["AKIDb"][i]} for i in (0, 1)] == [set(order[:2]), set(order[2:])]
    assert {jobs["AKIDa"][2], jobs["AKIDb"][2]} == {claim(store, *VOICE) for _ in range(2)}


def test_a_queue_runs_no_more_than_it_may_over_all_models(make: Make) -> None:
    """The limit of running jobs counts jobs of every model; a place that becomes free serves any of them."""
    store = make(queue_max_concurrent=1)
    voice, heavy = submit(store, wanting(), wanting("htdemucs"))
    assert voice == claim(store, *VOICE)
    assert claim(store, *HEAVY) is None
    running = store.jobs.find(voice)
    assert running is not None
    store.attempts.succeed(running, DONE)
    assert heavy == claim(store, *HEAVY)


@pytest.mark.parametrize("model", [None, "htdemucs"])
def test_a_job_that_nobody_serves_says_so(store: Store, clock: FixedClock, model: str | None) -> None:
    """It waits, with the reason and without an estimate, until a worker that serves it reports itself."""
    report(store, *VOICE)
    (job,) = submit(store, wanting(model, music=model is None))
    found = store.jobs.find(job)
    assert found is not None
    assert (State.SUBMITTED, None) == (found.state, found.estimated_start)
    assert f"No worker that is running serves {model or 'MusicMode'}." == found.message
    report(store, "MusicMode", "htdemucs", name="v")
    assert "" == message(store, job)
    clock.advance(ALIVE_S + 1)
    report(store, *VOICE)
    assert "" != message(store, job)


@pytest.mark.parametrize("model", [None, "htdemucs"])
def test_a_job_that_no_worker_takes_says_why(store: Store, clock: FixedClock, model: str | None) -> None:
    """It says whether no worker runs, none serves the model, or none of those that do takes its level."""
    (job,) = submit(store, wanting(model, level=2))
    wants = model or "AudioAndBackground"

    def reason() -> str:
        found = store.jobs.find(job)
        assert found is not None
        assert (found.wait_reason == "") == (found.estimated_start is not None)
        return found.wait_reason

    store.workers.report(Worker("callbacks", "callbacks", 2, (), "", "1.0", 5))
    assert "No worker that separates is running." == reason()
    report(store, "other", name="other")
    assert f"No worker that is running serves {wants}." == reason()
    store.workers.report(Worker("low", "separation", 2, (0, 1), "cpu", "1.0", 5, serves=(wants,)))
    assert f"No worker that is running takes {wants} at level 2." == reason()
    report(store, wants)
    assert "" == reason()
    clock.advance(ALIVE_S + 1)
    assert "No worker that separates is running." == reason()


def test_a_worker_of_an_earlier_release_takes_the_common_jobs(store: Store) -> None:
    """One that announces nothing takes these and no other model; a running job waits for no worker."""
    common, rare = submit(store, wanting(), wanting("htdemucs"))
    report(store, announces=False)
    reasons = [store.jobs.find(job).wait_reason for job in (common, rare)]
    assert ["", "No worker that is running serves htdemucs."] == reasons
    store.workers.leave("w")
    assert common == claim(store)
    assert "" == store.jobs.find(common).wait_reason


def test_a_common_job_waits_without_a_reason_where_workers_announce_nothing(store: Store) -> None:
    """No worker at all, or one of an earlier release beside one that serves less, is no reason to worry."""
    (job,) = submit(store, wanting(music=True))
    assert "" == message(store, job)
    report(store, *VOICE)
    assert "" != message(store, job)
    report(store, name="old", announces=False)
    assert "" == message(store, job)
    store.workers.report(Worker("callbacks", "callbacks", 2, (), "", "1.0", 5))
    store.workers.leave("old")
    assert "" != message(store, job)


def test_demands_count_what_waits(store: Store) -> None:
    """What jobs want beyond the common line is counted over all queues, until they run or end."""
    report(store, *HEAVY)
    first, _, third = submit(store, wanting("htdemucs"), wanting("htdemucs", tenant=OTHER), wanting("mdx"))
    assert [Demand("htdemucs", 2, True), Demand("mdx", 1, False)] == store.jobs.demands()
    assert [Demand("htdemucs", 2, True)] == store.jobs.demands(limit=1)
    store.jobs.cancel(TENANT, [third])
    assert first == claim(store, *HEAVY)
    assert [Demand("htdemucs", 1, True)] == store.jobs.demands()
    job = store.jobs.find(first)
    assert job is not None
    store.attempts.release(job)
    assert [Demand("htdemucs", 2, True)] == store.jobs.demands()


def test_a_common_job_that_a_worker_does_not_serve_stands_apart(store: Store, wake_ups: list[WakeUp]) -> None:
    """A worker that met it leaves it to others, who are woken up for it; its order among its like is kept."""
    report(store, *COMMON, name="full")
    first, second, voice = submit(store, wanting(music=True), wanting(music=True), wanting())
    wake_ups.clear()
    assert voice == claim(store, *VOICE)
    assert {WakeUp(0, first, "MusicMode")} <= set(wake_ups)
    assert [Demand("MusicMode", 2, True)] == store.jobs.demands()
    assert [WakeUp(0, each, "MusicMode") for each in (first, second)] == store.jobs.startable(
        0, 9, "MusicMode"
    )
    (third,) = submit(store, wanting(music=True))
    assert [first, second, third, None] == [claim(store, *COMMON) for _ in range(4)]
    assert [] == store.jobs.demands()


def test_many_jobs_that_a_worker_does_not_serve_keep_none_from_it(make: Make) -> None:
    """However many lie before it, one claim gives the worker the first job that it serves."""
    store = make(queue_max_concurrent=500)
    store.jobs.create_many([wanting(music=True)] * 120)
    (voice,) = submit(store, wanting())
    assert voice == claim(store, *VOICE)
    assert 120 == store.jobs.demands()[0].waiting


def test_wake_ups_go_to_workers_that_serve_the_job(
    store: Store, clock: FixedClock, wake_ups: list[WakeUp]
) -> None:
    """No message is sent for a job that no worker would take; one is once there is such a worker."""
    (job,) = submit(store, wanting("htdemucs"))
    assert ([], [], []) == (wake_ups, store.jobs.startable(0, 9), store.jobs.startable(0, 9, "htdemucs"))
    report(store, *HEAVY)
    assert [WakeUp(0, job, "htdemucs")] == store.jobs.startable(0, 9, "htdemucs")
    (other,) = submit(store, wanting("htdemucs"))
    assert [WakeUp(0, other, "htdemucs")] == wake_ups
    assert {job, other} == {claim(store, *HEAVY), claim(store, *HEAVY)}


def test_a_place_that_becomes_free_wakes_workers_of_every_model(make: Make, wake_ups: list[WakeUp]) -> None:
    """The end of a job wakes up one worker for each line of its queue: those that serve one may be idle."""
    store = make(queue_max_concurrent=1)
    report(store, *VOICE, *HEAVY)
    running, voice, heavy = submit(store, wanting(), wanting(), wanting("htdemucs"))
    assert running == claim(store, *VOICE)
    wake_ups.clear()
    job = store.jobs.find(running)
    assert job is not None
    store.attempts.succeed(job, DONE)
    assert {WakeUp(0, voice), WakeUp(0, heavy, "htdemucs")} == set(wake_ups)


def test_pausing_and_positions_count_jobs_of_every_model(store: Store) -> None:
    """A paused queue starts no job of any model; the place of a job counts those that the same workers do."""
    voice, heavy, second = submit(store, wanting(), wanting("htdemucs"), wanting("htdemucs"))
    positions = [store.jobs.find(job).position for job in (voice, heavy, second)]
    assert [1, 1, 2] == positions
    queue = store.jobs.find(voice).spec.queue_id
    store.queues.update(TENANT, queue, state=QueueState.PAUSED)
    assert (None, None) == (claim(store, *VOICE), claim(store, *HEAVY))
    store.queues.update(TENANT, queue, state=QueueState.ACTIVE)
    assert (voice, heavy) == (claim(store, *VOICE), claim(store, *HEAVY))
    load = store.statistics.of_tenant(TENANT)
    assert [(1, 0, 0)] == [each.waiting for each in load.queues]


def test_a_queue_holds_jobs_of_so_many_models(store: Store) -> None:
    """Names of models are a client's words: a queue keeps apart a bounded number of them."""
    submit(store, *(wanting(f"m{number}") for number in range(MAX_WANTED)))
    with pytest.raises(QueueFull):
        submit(store, wanting("one-more"))
    submit(store, wanting("m0"), wanting(), wanting(tenant=OTHER, model="one-more"))


def test_a_deadline_ends_a_job_that_nobody_serves(store: Store, clock: FixedClock) -> None:
    """It is cancelled when its deadline passes, and is no demand any more."""
    (job,) = submit(store, replace(wanting("htdemucs"), deadline=store.now() + 5_000_000))
    clock.advance(6)
    store.jobs.expire()
    assert State.CANCEL is store.jobs.find(job).state
    assert [] == store.jobs.demands()


def test_a_limited_number_of_jobs_of_a_model_run(make: Make, wake_ups: list[WakeUp]) -> None:
    """Over all queues and workers no more run than the limit says; each end wakes a worker for the next."""
    store = make(model_limits={"htdemucs": 1, "MusicMode": 1})
    report(store, *COMMON, *HEAVY)
    heavy, other, voice = submit(
        store, wanting("htdemucs"), wanting("htdemucs", tenant=OTHER), wanting(level=0)
    )
    assert heavy == claim(store, *HEAVY)
    assert [voice, None] == [claim(store, *COMMON, *HEAVY) for _ in range(2)]
    wake_ups.clear()
    running = store.jobs.find(heavy)
    assert running is not None
    store.attempts.succeed(running, DONE)
    assert WakeUp(0, other, "htdemucs") in wake_ups
    assert other == claim(store, *HEAVY)
    wake_ups.clear()
    running = store.jobs.find(other)
    assert running is not None
    store.attempts.release(running)
    assert WakeUp(0, other, "htdemucs") in wake_ups
    assert other == claim(store, *HEAVY)


def test_a_limited_mode_keeps_no_other_job_waiting(make: Make) -> None:
    """Jobs of a mode that is at its limit stand apart until one ends; those behind them start."""
    store = make(model_limits={"MusicMode": 1})
    report(store, *COMMON)
    first, second, voice = submit(store, wanting(music=True), wanting(music=True), wanting())
    assert [first, voice, None] == [claim(store, *COMMON) for _ in range(3)]
    running = store.jobs.find(first)
    assert running is not None
    store.attempts.fail(running, "InternalError", "")
    assert second == claim(store, *COMMON)


def test_estimates_are_those_of_the_model(store: Store, clock: FixedClock) -> None:
    """How long jobs ran is kept by what they want; the next ones expect the same."""
    for model, seconds in ((None, 10), ("htdemucs", 100)):
        (job,) = submit(store, wanting(model))
        assert job == claim(store, *COMMON, *HEAVY)
        running = store.jobs.find(job)
        assert running is not None
        clock.advance(seconds)
        store.attempts.succeed(running, replace(DONE, audio_s=50.0))
    report(store, *COMMON, *HEAVY)
    light, heavy = submit(store, wanting(), wanting("htdemucs"))
    for job, seconds in ((light, 10), (heavy, 100)):
        found = store.jobs.find(job)
        assert found is not None
        assert found.estimated_start is not None
        assert found.estimated_end == found.estimated_start + seconds * 1_000_000
    totals = store.statistics.read().totals
    for wants, work_ms in (("AudioAndBackground", 10_000), ("htdemucs", 100_000)):
        assert (work_ms, 50_000) == (totals[f"work_ms_of:{wants}"], totals[f"audio_ms_of:{wants}"])
