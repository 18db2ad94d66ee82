"""Requests and signatures of the CMQ protocol."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from stemline.callbacks.cmq_sender import CmqSender, message, outcome_of
from stemline.jobs.callback import MqConfig
from tests.paths import RECORDINGS

VECTOR = {
    "Action": "SendMessage",
    "Nonce": "11886",
    "RequestClient": "SDK_Python_1.3",
    "SecretId": "AKIDexampleexampleexampleexample0001",
    "SignatureMethod": "HmacSHA1",
    "Timestamp": "1700000000",
    "delaySeconds": "0",
    "msgBody": '{"EventName":"TaskFinish"}',
    "queueName": "voice-done",
}


def test_the_specifications_vector():
    """The signature is that of the specification's example."""
    sender = CmqSender(VECTOR["SecretId"], "exampleSecretKey0123456789abcdef")
    signed = sender.sign(VECTOR, "cmq-gz.public.tencenttdmq.com", "/v2/index.php")
    assert "7i180YchOJD3Ud7Ll7zFdFTi048=" == signed["Signature"]


@pytest.mark.parametrize("action", ["SendMessage", "PublishMessage", "ReceiveMessage"])
def test_recorded_requests_of_the_official_client(action):
    """For every recorded request of the official client our signature is the same."""
    raw = (RECORDINGS / f"cmq-{action}.txt").read_bytes()
    body = raw.partition(b"\r\n\r\n")[2].decode()
    fields = dict(parse_qsl(body, keep_blank_values=True))
    recorded = fields.pop("Signature")
    sender = CmqSender("AKIDEXAMPLEEXAMPLEEXAMPLE", "SecretKeyExampleExample")
    assert recorded == sender.sign(fields, "127.0.0.1:28814", "/v2/index.php")["Signature"]


def test_sha256_signatures():
    """With HmacSHA256 a signature has 32 bytes."""
    sender = CmqSender("id", "key", "HmacSHA256")
    assert 44 == len(sender.sign({"Action": "SendMessage"}, "h", "/p")["Signature"])


def test_a_queue_gets_a_message_and_a_topic_a_publication():
    """MqMode decides between SendMessage with queueName and PublishMessage with topicName."""
    sent = message(MqConfig("gz", "Queue", "voice-done"), b"<a/>")
    assert ("SendMessage", "voice-done", "<a/>") == (sent["Action"], sent["queueName"], sent["msgBody"])
    published = message(MqConfig("gz", "Topic", "voice-done"), b"<a/>")
    assert ("PublishMessage", "voice-done") == (published["Action"], published["topicName"])


@pytest.mark.parametrize(
    ("status", "body", "delivered", "recorded"),
    [
        (200, b'{"code":0,"message":"","requestId":"1","msgId":"2"}', True, "200"),
        (200, b'{"code":4440,"message":"queue is not existed","requestId":"1"}', False, "cmq-4440"),
        (200, b"<html>a proxy's page</html>", False, "cmq"),
        (200, b"[]", False, "cmq"),
        (200, b"[" * 60_000, False, "cmq"),
        (200, b'{"code":' + b'{"code":' * 8_000, False, "cmq"),
        (200, b'{"code":false}', False, "cmq"),
        (200, b'{"code":[[]]}', False, "cmq"),
        (200, b'{"code":' + b"9" * 5000 + b"}", False, "cmq"),
        (502, b'{"code":0}', False, "502"),
    ],
)
def test_only_code_0_is_stored(status, body, delivered, recorded):
    """A message counts as delivered by HTTP 200 with code 0 and by nothing else."""
    outcome = outcome_of(status, body)
    assert (delivered, recorded) == (outcome.delivered, outcome.status)
