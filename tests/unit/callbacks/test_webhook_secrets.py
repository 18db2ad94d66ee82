"""The choice of the secrets that sign a callback."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.callbacks.webhook_secrets import CredentialRemoved, WebhookSecrets
from stemline.jobs.reasons import reason_of
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.errors import UnreadableFile
from stemline.runtime.settings import Settings
from stemline.testing.samples import job_spec

QUEUE = job_spec().queue_id


def secrets(**settings) -> WebhookSecrets:
    found = Settings(**settings)
    return WebhookSecrets(found.callbacks, CredentialFiles.of(found).key_pairs)


def test_queue_before_credential_before_general():
    """The queue's secrets take precedence over the credential's, and those over the general ones."""
    credential = {"secret_id": "A", "secret_key": "k", "webhook_secrets": ["whsec_a1", "whsec_a2"]}
    bare = {"secret_id": "B", "secret_key": "k"}
    known = secrets(
        credentials=[credential, bare],
        queue_webhook_secrets={"pq": ["whsec_q"]},
        webhook_secrets=["whsec_g"],
    )
    assert ["whsec_a1", "whsec_a2"] == known.of(job_spec(credential="A"))
    assert ["whsec_g"] == known.of(job_spec(credential="B"))
    assert ["whsec_g"] == known.of(job_spec(credential="unknown"))
    assert ["whsec_q"] == known.of(dataclasses.replace(job_spec(credential="A"), queue_id="pq"))
    assert [] == secrets().of(job_spec(credential="A"))


def test_a_callback_that_was_to_be_signed_is_not_sent_without_its_credential():
    """Removed, or replaced by another key pair; the queue's secrets, which count first, are still there."""
    spec = dataclasses.replace(job_spec(credential="gone"), signed=True)
    known = secrets(queue_webhook_secrets={"pq": ["whsec_q"]}, webhook_secrets=["whsec_g"])
    with pytest.raises(CredentialRemoved) as caught:
        known.of(spec)
    assert "their credential was removed, or replaced by another key pair" == reason_of(caught.value)
    assert ["whsec_q"] == known.of(dataclasses.replace(spec, queue_id="pq"))
    back = {"secret_id": "gone", "secret_key": "k"}
    assert ["whsec_a"] == secrets(credentials=[{**back, "webhook_secrets": ["whsec_a"]}]).of(spec)
    assert ["whsec_g"] == secrets(credentials=[back], webhook_secrets=["whsec_g"]).of(spec)


def test_a_file_that_was_never_readable_is_an_error(tmp_path):
    """When it is unknown whether to sign, an error is raised."""
    known = secrets(credentials_file=tmp_path / "missing.json")
    with pytest.raises(UnreadableFile):
        known.of(job_spec(credential="A"))
