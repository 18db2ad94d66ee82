"""The decision table of callbacks (docs/wire/wire.md, 7.1), row by row."""

from __future__ import annotations

import pytest

from stemline.jobs.callback import CallbackRequest, CallbackTarget, MqConfig
from stemline.jobs.callback_target import callback_target
from stemline.jobs.queue import NotifyConfig
from stemline.testing.samples import job_spec

URL = "https://job.example/ci"
MQ = MqConfig("gz", "Topic", "voice-done")
OFF = NotifyConfig(
    state="Off", event="TaskFinish", type="Url", url="https://queue.example/", result_format="JSON"
)
ON = NotifyConfig(
    state="On", event="TaskFinish", type="Url", url="https://queue.example/", result_format="JSON"
)
BOTH_EVENTS = NotifyConfig(
    state="On", event="WorkflowFinish, TaskFinish", type="Url", url="https://queue.example/"
)
OTHER_EVENT = NotifyConfig(state="On", event="WorkflowFinish", type="Url", url="https://queue.example/")
TO_MQ = NotifyConfig(
    state="On", event="TaskFinish", type="TDMQ", mq_mode="", mq_region="sh", mq_name="q", result_format="XML"
)


def url(where: str, form: str) -> CallbackTarget:
    return CallbackTarget(type="Url", format=form, url=where)


@pytest.mark.parametrize(
    ("asked", "queue", "expected"),
    [
        # a URL of the job's own: the queue is not called in addition; its format counts while it is on
        (CallbackRequest(url=URL), NotifyConfig(), url(URL, "XML")),
        (CallbackRequest(url=URL), ON, url(URL, "JSON")),
        (CallbackRequest(url=URL), OFF, url(URL, "XML")),
        (CallbackRequest(url=URL, format="XML"), ON, url(URL, "XML")),
        (CallbackRequest(url=URL, type="Url", mq=MQ), TO_MQ, url(URL, "XML")),
        # no
        (CallbackRequest(url="no"), ON, None),
        (CallbackRequest(url="No", type="Url"), TO_MQ, None),
        # nothing: as the queue says
        (CallbackRequest(), ON, url("https://queue.example/", "JSON")),
        (CallbackRequest(format="XML"), ON, url("https://queue.example/", "XML")),
        (CallbackRequest(type="Url"), BOTH_EVENTS, url("https://queue.example/", "XML")),
        (CallbackRequest(), TO_MQ, CallbackTarget("TDMQ", "XML", mq=MqConfig("sh", "Queue", "q"))),
        (CallbackRequest(), OFF, None),
        (CallbackRequest(), OTHER_EVENT, None),
        (CallbackRequest(), NotifyConfig(), None),
        # a queue or topic of the job's own, whatever CallBack says
        (CallbackRequest(type="TDMQ", mq=MQ), ON, CallbackTarget("TDMQ", "JSON", mq=MQ)),
        (CallbackRequest(type="TDMQ", mq=MQ, url="no"), OFF, CallbackTarget("TDMQ", "XML", mq=MQ)),
        (
            CallbackRequest(type="TDMQ", mq=MQ, url=URL, format="XML"),
            ON,
            CallbackTarget("TDMQ", "XML", mq=MQ),
        ),
    ],
)
def test_the_table(asked, queue, expected):
    """Job and queue together decide where the end of a job is announced, and in which format."""
    assert expected == callback_target(job_spec(asked), queue)
