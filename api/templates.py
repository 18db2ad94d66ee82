"""Templates: named separation parameters (docs/wire/wire.md, 5)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import ReadContext, RequestContext, WriteContext
from stemline.jobs.audio import check_audio
from stemline.jobs.errors import NoSuchTemplate, RequestRefused
from stemline.jobs.separation import TAG, AudioMode, VoiceSeparate
from stemline.jobs.store import TemplateFilter
from stemline.jobs.template import Template
from stemline.wire import params as read
from stemline.wire import views
from stemline.wire.codec import Fields
from stemline.wire.job_request import audio_config, voice_separate

router = APIRouter()

MAX_NAME_CHARS = 64


@router.post("/template", name="create_template")
def create_template(context: WriteContext) -> Response:
    """Create a template; its name is unique in the bucket."""
    tenant, fields = context.tenant, context.fields()
    _check_tag(fields, required=True)
    name = read.label(fields, "Name", most=MAX_NAME_CHARS)
    if name is None:
        raise RequestRefused("Name is missing.")
    template = context.store.templates.create(tenant, name, voice_separate(fields))
    return context.respond_with_id({"Template": views.template(template)})


@router.put("/template/{template_id}", name="update_template")
def update_template(context: WriteContext, template_id: str) -> Response:
    """Change a template; absent fields keep their values, and jobs already submitted keep their copy."""
    tenant, fields = context.tenant, context.fields()
    stored = context.store.templates.get(tenant, template_id)
    if stored is None:
        raise NoSuchTemplate
    _check_tag(fields, required=False)
    name = read.label(fields, "Name", most=MAX_NAME_CHARS)
    template = context.store.templates.update(
        tenant, template_id, name=name, separate=_changed(fields, stored.separate)
    )
    return context.respond_with_id({"Template": views.template(template)})


@router.get("/template", name="list_templates")
def list_templates(context: ReadContext) -> Response:
    """List templates by ids, or a page of templates by name."""
    tenant, query = context.tenant, context.query
    number, size = read.page(query)
    ids = read.listed(query, "ids")
    if ids:
        return _by_ids(context, ids)
    category = read.choice({"category": query.get("category")}, "category", ("Custom", "Official"))
    prefix = query.get("name") or query.get("names") or ""
    if category == "Official" or query.get("tag", "All") not in {"All", TAG}:
        found, total = list[Template](), 0
    else:
        listing = context.store.templates.search(
            tenant, TemplateFilter(name_prefix=prefix, page=number, size=size)
        )
        found, total = listing.items, listing.total
    tree: views.Tree = {"TotalCount": str(total), "PageNumber": str(number), "PageSize": str(size)}
    return context.respond_with_id(tree | _listed(found))


@router.delete("/template/{template_id}", name="delete_template")
def delete_template(context: WriteContext, template_id: str) -> Response:
    """Delete a template; jobs already submitted keep their copy."""
    context.store.templates.delete(context.tenant, template_id)
    return context.respond_with_id({"TemplateId": template_id})


def _by_ids(context: RequestContext, ids: tuple[str, ...]) -> Response:
    listing = context.store.templates.search(context.tenant, TemplateFilter(ids=ids, size=len(ids)))
    missing = {"NonExistTIDs": {"TemplateId": list(listing.missing)}} if listing.missing else {}
    return context.respond_with_id(_listed(listing.items) | missing)


def _listed(templates: list[Template]) -> views.Tree:
    """Return ``TemplateList``, or no element without templates: Terraform tests for an empty list."""
    return {"TemplateList": [views.template(template) for template in templates]} if templates else {}


def _check_tag(fields: Fields, *, required: bool) -> None:
    tag = read.word(fields, "Tag")
    if tag != TAG and (required or tag is not None):
        raise RequestRefused(f"Tag must be {TAG}.")


def _changed(fields: Fields, stored: VoiceSeparate) -> VoiceSeparate:
    """Return the new parameters. Terraform omits ``AudioConfig``; the stored one is then kept."""
    given = read.choice(fields, "AudioMode", [mode.value for mode in AudioMode])
    mode = AudioMode(given) if given else stored.audio_mode
    if read.container(fields, "AudioConfig"):
        return VoiceSeparate(mode, audio_config(fields, mode))
    check_audio(mode, stored.audio_config)
    return VoiceSeparate(mode, stored.audio_config)
