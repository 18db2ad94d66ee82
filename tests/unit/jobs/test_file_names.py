"""Output names for stores that keep objects as files."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.file_names import check_file_names
from stemline.testing.client import submission
from stemline.testing.samples import job_spec
from stemline.wire.codec import parse
from stemline.wire.job_request import job_specs


@pytest.mark.parametrize("name", ["/a", "a//b", "//a", "a/" + "b" * 256, "é" * 128, "b" * 224 + "${jobid}"])
@pytest.mark.parametrize("field", ["object", "au_object"])
def test_refused(field: str, name: str) -> None:
    """An empty segment, or one of more than 255 bytes once variables are replaced, is refused."""
    spec = job_spec()
    bad = dataclasses.replace(spec, output=dataclasses.replace(spec.output, **{field: name}))
    with pytest.raises(RequestRefused, match="segment"):
        check_file_names(bad)


@pytest.mark.parametrize("name", ["a", "a/b", "b" * 255, "é" * 127, "a/" + "c" * 255 + "/d"])
def test_accepted(name: str) -> None:
    """Names whose segments are files on every file system are accepted; unused names are not checked."""
    spec = job_spec()
    output = dataclasses.replace(spec.output, au_object=name, bass_object="//")
    check_file_names(dataclasses.replace(spec, output=output))


@pytest.mark.parametrize("name", ["o/dir/", "a/", "o/${jobid}/"])
def test_folders_are_refused_for_every_store(name: str) -> None:
    """A name that ends with / names a folder; it is refused at the submission."""
    body = submission().replace("out/voice.${ext}", name)
    assert name in body
    with pytest.raises(RequestRefused, match="ends with /"):
        job_specs(parse(body.encode(), ""), job_spec().tenant, lambda _: None)
