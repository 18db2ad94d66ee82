"""From requests to the parameters of templates (docs/wire/wire.md, 5.1 and 5.2)."""

from __future__ import annotations

from stemline.jobs.separation import VoiceSeparate
from stemline.wire.codec import Tree
from stemline.wire.elements import text_of
from stemline.wire.job import separation
from stemline.wire.job_request import without_unused_numbers
from stemline.wire.resources import TEMPLATE_REQUEST


def new_template(fields: Tree) -> tuple[str, VoiceSeparate]:
    """Return name and parameters of a new template.

    Raises:
        RequestRefused: An element is missing or not valid; says which.
    """
    given = TEMPLATE_REQUEST.read(without_unused_numbers(fields, text_of(fields, "AudioMode")))
    return given["name"], separation(given["audio_mode"], given.get("audio_config"), given.get("model"))


def changed_template(fields: Tree, stored: VoiceSeparate) -> tuple[str | None, VoiceSeparate]:
    """Return the new name of a template, ``None`` for the old one, and its new parameters.

    Absent elements keep their values: Terraform omits ``AudioConfig``.

    Raises:
        RequestRefused: An element is not valid; says which.
    """
    mode = text_of(fields, "AudioMode") or stored.audio_mode
    given = TEMPLATE_REQUEST.read(without_unused_numbers(fields, mode), partial=True)
    config = given["audio_config"] if fields.get("AudioConfig") else stored.audio_config
    model = given.get("model", stored.model)
    return given.get("name"), separation(given.get("audio_mode", stored.audio_mode), config, model)
