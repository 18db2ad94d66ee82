"""What is taken from the answers of a store, which a tenant may run."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from stemline.storage.s3_errors import UnusableResponse, error_code, field_of


def refused(code: str) -> ClientError:
    details: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return ClientError(details, "GetObject")


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("AccessDenied", "AccessDenied"),
        ("", "403"),
        ("A" * 8_000_000, "403"),
        ("a\nb", "403"),
        ("<b>", "403"),
    ],
    ids=["code", "none", "long", "line", "markup"],
)
def test_a_code_is_a_short_word_or_the_status(code: str, kept: str) -> None:
    """What ends in messages and logs is a code of at most 64 characters, or the HTTP status."""
    assert kept == error_code(refused(code))


def test_an_upload_id_is_short_and_printable() -> None:
    """An id that would be part of every URL is refused where it is absent, long or not printable."""
    assert "2~abc+/=" == field_of({"UploadId": "2~abc+/="}, "UploadId", "CreateMultipartUpload")
    for wrong in (None, "", "x" * 1025, "a b", "a\nb"):
        with pytest.raises(UnusableResponse):
            field_of({"UploadId": wrong}, "UploadId", "CreateMultipartUpload")
