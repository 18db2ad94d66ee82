"""Templates: named separation parameters (docs/wire/wire.md, 5)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import Call, Reading, Writing
from stemline.jobs.audio import check_audio
from stemline.jobs.errors import RequestRefused, TemplatePathNotFound
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
def create_template(call: Writing) -> Response:
    """Keep separation parameters under a name that is unique in the bucket."""
    tenant, fields = call.tenant, call.fields()
    _check_tag(fields, required=True)
    name = read.label(fields, "Name", most=MAX_NAME_CHARS)
    if name is None:
        raise RequestRefused("Name is missing.")
    template = call.store.templates.create(tenant, name, voice_separate(fields))
    return call.numbered({"Template": views.template(template)})


@router.put("/template/{template_id}", name="update_template")
def update_template(call: Writing, template_id: str) -> Response:
    """Change a template; what is absent stays, and jobs already submitted keep their copy."""
    tenant, fields = call.tenant, call.fields()
    stored = call.store.templates.get(tenant, template_id)
    if stored is None:
        raise TemplatePathNotFound
    _check_tag(fields, required=False)
    name = read.label(fields, "Name", most=MAX_NAME_CHARS)
    template = call.store.templates.update(
        tenant, template_id, name=name, separate=_changed(fields, stored.separate)
    )
    return call.numbered({"Template": views.template(template)})


@router.get("/template", name="list_templates")
def list_templates(call: Reading) -> Response:
    """Templates by id, or a page of them by name."""
    tenant, query = call.tenant, call.query
    number, size = read.page(query)
    ids = read.listed(query, "ids")
    if ids:
        return _by_ids(call, ids)
    category = read.choice({"category": query.get("category")}, "category", ("Custom", "Official"))
    prefix = query.get("name") or query.get("names") or ""
    if category == "Official" or query.get("tag", "All") not in {"All", TAG}:
        found, total = list[Template](), 0
    else:
        listing = call.store.templates.search(
            tenant, TemplateFilter(name_prefix=prefix, page=number, size=size)
        )
        found, total = listing.items, listing.total
    tree: views.Tree = {"TotalCount": str(total), "PageNumber": str(number), "PageSize": str(size)}
    return call.numbered(tree | _listed(found))


@router.delete("/template/{template_id}", name="delete_template")
def delete_template(call: Writing, template_id: str) -> Response:
    """Forget a template."""
    call.store.templates.delete(call.tenant, template_id)
    return call.numbered({"TemplateId": template_id})


def _by_ids(call: Call, ids: tuple[str, ...]) -> Response:
    listing = call.store.templates.search(call.tenant, TemplateFilter(ids=ids, size=len(ids)))
    missing = {"NonExistTIDs": {"TemplateId": list(listing.missing)}} if listing.missing else {}
    return call.numbered(_listed(listing.items) | missing)


def _listed(templates: list[Template]) -> views.Tree:
    """Nothing at all for no template: Terraform tests for an empty list."""
    return {"TemplateList": [views.template(template) for template in templates]} if templates else {}


def _check_tag(fields: Fields, *, required: bool) -> None:
    tag = read.word(fields, "Tag")
    if tag != TAG and (required or tag is not None):
        raise RequestRefused(f"Tag must be {TAG}.")


def _changed(fields: Fields, stored: VoiceSeparate) -> VoiceSeparate:
    """The new parameters; Terraform sends an update without ``AudioConfig``, which keeps the stored one."""
    given = read.choice(fields, "AudioMode", [mode.value for mode in AudioMode])
    mode = AudioMode(given) if given else stored.audio_mode
    if read.container(fields, "AudioConfig"):
        return VoiceSeparate(mode, audio_config(fields, mode))
    check_audio(mode, stored.audio_config)
    return VoiceSeparate(mode, stored.audio_config)
