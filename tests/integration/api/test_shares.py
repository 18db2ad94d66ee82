"""Weights, reserved slots, temporary limits and changes of level, over HTTP."""

from __future__ import annotations

import json
import time

import pytest

from stemline.jobs.job import Hop
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL
from stemline.testing.client import Client, submission
from stemline.wire.times import format_time

JSON = {"Accept": "application/json"}


def at(seconds: float) -> str:
    """A time on the wire, some seconds from now."""
    return format_time(round((time.time() + seconds) * 1e6))


def the_queue(client: Client) -> str:
    return client.get("/queue").text("QueueList/QueueId")


def change(client: Client, inner: str):
    return client.put(f"/queue/{the_queue(client)}", f"<Request>{inner}</Request>")


def shown(client: Client) -> dict:
    """The queue in JSON, which has all elements."""
    return json.loads(client.request("GET", "/queue", headers=JSON).body)["QueueList"][0]


@pytest.mark.shows("Weight, Reserved, Override")
def test_shares_of_a_queue(client):
    """What a change says is shown in JSON, and in XML on request; a vendor's XML has none of it."""
    until = at(3600)
    inner = "<Weight>50</Weight><Reserved><Level2>3</Level2></Reserved>"
    inner += f"<Override><Until>{until}</Until><MaxConcurrent>20</MaxConcurrent></Override>"
    answer = change(client, inner)
    assert 200 == answer.status
    assert not {"Weight", "Reserved", "Override"} & {each.tag for each in answer.xml.find("Queue")}
    found = shown(client)
    assert ("50", "10", {"Level1": "0", "Level2": "3"}) == (
        found["Weight"],
        found["MaxConcurrent"],
        found["Reserved"],
    )
    assert {"Until": until, "MaxConcurrent": "20"} == found["Override"]
    assert until == client.get("/queue", additions="1").text("QueueList/Override/Until")
    change(client, "<MaxConcurrent>12</MaxConcurrent>")
    assert ("12", "20") == ((found := shown(client))["MaxConcurrent"], found["Override"]["MaxConcurrent"])
    change(client, f"<Override><Until>{at(-1)}</Until></Override>")
    assert "Override" not in shown(client)


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<Weight>0</Weight>", "Weight must be a whole number from 1 to 1000"),
        ("<Weight>101</Weight>", "Weight must be at most 100"),
        ("<Reserved><Level1>4</Level1><Level2>6</Level2></Reserved>", "must leave one"),
        ("<Reserved><Level2>2</Level2></Reserved><MaxConcurrent>2</MaxConcurrent>", "must leave one"),
        ("<Reserved><Level1>some</Level1></Reserved>", "Level1 must be"),
        ("<Override><Weight>10</Weight></Override>", "Override.Until is missing"),
        ("<Override><Until>soon</Until></Override>", "Until must be a time"),
        ("<Override><Until>{far}</Until><Weight>10</Weight></Override>", "within a year"),
        ("<Override><Until>{soon}</Until><Weight>500</Weight></Override>", "at most 100"),
        ("<Override><Until>{soon}</Until><MaxConcurrent>101</MaxConcurrent></Override>", "at most 100"),
        ("<Override>yes</Override>", "single element"),
    ],
)
def test_shares_are_refused_clearly(client, inner, reason):
    """A limit that is not valid or too high is refused, and nothing changes."""
    change(client, "<Name>stored</Name>")
    before = shown(client)
    answer = change(client, inner.format(soon=at(60), far=at(400 * 86_400)))
    assert "InvalidArgument" == answer.code
    assert reason in answer.text("Message")
    assert {**before, "UpdateTime": ""} == {**shown(client), "UpdateTime": ""}


def test_a_temporary_limit_leaves_a_slot_for_all_levels(client):
    """A temporary MaxConcurrent may not be as low as the reserved slots, nor these as high as it."""
    change(client, "<Reserved><Level2>3</Level2></Reserved>")
    low = f"<Override><Until>{at(60)}</Until><MaxConcurrent>3</MaxConcurrent></Override>"
    assert "InvalidArgument" == change(client, low).code
    assert 200 == change(client, low.replace(">3<", ">4<")).status
    assert "InvalidArgument" == change(client, "<Reserved><Level2>4</Level2></Reserved>").code


def test_a_credential_may_set_a_higher_weight(serve):
    """The ceiling of a credential counts instead of that of the settings."""
    strong = Credential(secret_id="AKIDSTRONG", secret_key="k" * 20, max_weight=300)
    server = serve(credentials=(CREDENTIAL, strong))
    assert "InvalidArgument" == change(server.client, "<Weight>300</Weight>").code
    client = Client(server.port, secret_id="AKIDSTRONG", secret_key="k" * 20)
    assert 200 == change(client, "<Weight>300</Weight>").status
    assert "InvalidArgument" == change(client, "<Weight>301</Weight>").code


def test_a_weight_of_a_credential_goes_with_its_jobs(serve):
    """Jobs of a credential with a weight take its share, those of others the common one."""
    weighted = Credential(secret_id="AKIDWEIGHTED", secret_key="k" * 20, weight=250)
    server = serve(credentials=(CREDENTIAL, weighted))
    client = Client(server.port, secret_id="AKIDWEIGHTED", secret_key="k" * 20)
    found = []
    for each in (server.client, client):
        job = server.store.jobs.find(each.post("/jobs", submission()).text("JobsDetail/JobId"))
        found.append((job.spec.share, job.spec.weight))
    assert [("", None), ("AKIDWEIGHTED", 250)] == found
    assert 250 == server.store.shares.get("AKIDWEIGHTED").weight


@pytest.mark.shows("Hop")
def test_a_change_of_level_is_kept_and_shown(server):
    """A submission may name another level for a job that waits for long; answers show it on request."""
    hop = "<Hop><Wait>600</Wait><JobLevel>2</JobLevel></Hop>"
    made = server.client.post("/jobs", submission(request=hop))
    job = made.text("JobsDetail/JobId")
    assert Hop(600, 2) == server.store.jobs.find(job).spec.hop
    assert b"<Hop>" not in made.body
    assert "600" == server.client.get(f"/jobs/{job}", additions="1").text("JobsDetail/Hop/Wait")


@pytest.mark.parametrize(
    ("hop", "reason"),
    [
        ("<Wait>600</Wait>", "Hop needs Wait and JobLevel"),
        ("<JobLevel>2</JobLevel>", "Hop needs Wait and JobLevel"),
        ("<Wait>0</Wait><JobLevel>2</JobLevel>", "Hop.Wait must be"),
        ("<Wait>600</Wait><JobLevel>3</JobLevel>", "Hop.JobLevel must be"),
    ],
)
def test_a_change_of_level_is_refused_clearly(client, hop, reason):
    """A wait or a level that is missing or not valid is refused."""
    answer = client.post("/jobs", submission(request=f"<Hop>{hop}</Hop>"))
    assert "InvalidArgument" == answer.code
    assert reason in answer.text("Message")
