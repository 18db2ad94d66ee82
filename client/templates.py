"""Templates: parameters of separations, kept by the service under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stemline.client.answers import Raw, child, children, number, text, time_of
from stemline.client.call import PAGE, Call, given, nothing, segment
from stemline.client.submission import Submission
from stemline.jobs.separation import TAG
from stemline.wire.job import AUDIO_CONFIG


@dataclass(frozen=True, slots=True)
class Template:
    """Separation parameters under a name."""

    id: str
    name: str
    mode: str
    audio: Mapping[str, str]
    """``AudioConfig`` as on the wire: ``Codec``, ``Samplerate`` …"""
    created: datetime | None = None
    updated: datetime | None = None
    model: str = ""
    """The model that separates; empty: that of the service."""
    raw: Raw = field(default_factory=dict, repr=False)


def read_template(raw: Raw) -> Template:
    """Return a template of an answer."""
    separate = child(raw, "VoiceSeparate")
    audio = child(separate, "AudioConfig")
    return Template(
        id=text(raw, "TemplateId"),
        name=text(raw, "Name"),
        mode=text(separate, "AudioMode"),
        audio={row.name: text(audio, row.name) for row in AUDIO_CONFIG.elements if text(audio, row.name)},
        created=time_of(raw, "CreateTime"),
        updated=time_of(raw, "UpdateTime"),
        model=text(separate, "Model"),
        raw=raw,
    )


def templates(*, page_number: int = 1, prefix: str = "") -> Call[tuple[list[Template], int]]:
    """Return one page of templates and the number of all."""
    params = {"pageNumber": str(page_number), "pageSize": str(PAGE), "name": prefix}
    return Call(
        "GET",
        "/template",
        lambda raw: (list(map(read_template, children(raw, "TemplateList"))), number(raw, "TotalCount")),
        params=given(params),
    )


def create_template(name: str, parameters: Submission) -> Call[Template]:
    """Create a template with the mode and the codec of a submission."""
    separate = parameters.body("", "")["Operation"]["VoiceSeparate"]
    return Call(
        "POST",
        "/template",
        lambda raw: read_template(child(raw, "Template")),
        body={"Tag": TAG, "Name": name, **separate},
        repeatable=False,
    )


def delete_template(template_id: str) -> Call[None]:
    """Delete a template."""
    return Call("DELETE", f"/template/{segment(template_id)}", nothing, repeatable=False)
