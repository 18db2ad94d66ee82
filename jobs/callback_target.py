"""The rule that decides where the end of a job is announced (docs/wire/wire.md, 7.1)."""

from __future__ import annotations

from stemline.jobs.callback import CallbackTarget, MqConfig
from stemline.jobs.job import JobSpec
from stemline.jobs.queue import NotifyConfig


def callback_target(spec: JobSpec, queue: NotifyConfig) -> CallbackTarget | None:
    """Return where the end of a job is announced, or ``None`` if it is not.

    What the job says takes precedence over its queue. The queue's format counts only while its
    notifications are on.
    """
    asked = spec.callback
    form = asked.format or (queue.result_format if queue.state == "On" else "") or "XML"
    if asked.type == "TDMQ":
        return CallbackTarget(type="TDMQ", format=form, mq=asked.mq)
    if asked.url:
        return None if asked.url.lower() == "no" else CallbackTarget(type="Url", format=form, url=asked.url)
    if not queue.announces_jobs:
        return None
    if queue.type == "TDMQ":
        mq = MqConfig(region=queue.mq_region, mode=queue.mq_mode or "Queue", name=queue.mq_name)
        return CallbackTarget(type="TDMQ", format=form, mq=mq)
    return CallbackTarget(type="Url", format=form, url=queue.url) if queue.url else None
