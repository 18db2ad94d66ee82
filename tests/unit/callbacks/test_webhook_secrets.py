"""Whose secret signs."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from stemline.callbacks import webhook_secrets
from stemline.callbacks.webhook_secrets import WebhookSecrets
from stemline.runtime.settings import Settings
from stemline.testing.samples import job_spec

QUEUE = job_spec().queue_id


def test_queue_before_submitter_before_everybody():
    """The queue's secrets win over the submitting credential's, and those over the general ones."""
    credential = {"secret_id": "A", "secret_key": "k", "webhook_secrets": ["whsec_a1", "whsec_a2"]}
    bare = {"secret_id": "B", "secret_key": "k"}
    known = WebhookSecrets(
        Settings(
            credentials=[credential, bare],
            queue_webhook_secrets={"pq": ["whsec_q"]},
            webhook_secrets=["whsec_g"],
        )
    )
    assert ["whsec_a1", "whsec_a2"] == known.of(job_spec(credential="A"))
    assert ["whsec_g"] == known.of(job_spec(credential="B"))
    assert ["whsec_g"] == known.of(job_spec(credential="unknown"))
    assert ["whsec_q"] == known.of(dataclasses.replace(job_spec(credential="A"), queue_id="pq"))
    assert [] == WebhookSecrets(Settings()).of(job_spec(credential="A"))


def test_a_credentials_file_is_followed(tmp_path, monkeypatch):
    """A new secret in the credentials file is used without a restart; a broken file keeps the old one."""
    monkeypatch.setattr(webhook_secrets, "RELOAD_INTERVAL_S", 0.0)
    path = tmp_path / "credentials.json"

    def write(text: str, stamp: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(stamp, stamp))

    def entry(secret: str) -> str:
        return json.dumps([{"secret_id": "A", "secret_key": "k", "webhook_secrets": [secret]}])

    write(entry("whsec_1"), 1)
    known = WebhookSecrets(Settings(credentials_file=path))
    spec = job_spec(credential="A")
    assert ["whsec_1"] == known.of(spec)
    write(entry("whsec_2"), 2)
    assert ["whsec_2"] == known.of(spec)
    write("[{", 3)
    assert ["whsec_2"] == known.of(spec)


def test_an_unreadable_file_is_not_a_reason_to_go_unsigned(tmp_path):
    """When it is not known whether to sign, nothing is sent."""
    known = WebhookSecrets(Settings(credentials_file=tmp_path / "missing.json"))
    with pytest.raises(FileNotFoundError):
        known.of(job_spec(credential="A"))
