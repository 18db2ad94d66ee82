"""Templates: named separation parameters (docs/wire/wire.md, 5)."""

from __future__ import annotations

from starlette.responses import Response

from stemline.api.admission import ReadContext, WriteContext
from stemline.api.changes import repeat_if_changed
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.jobs.errors import NoSuchTemplate
from stemline.jobs.separation import TAG
from stemline.jobs.store import Listing, TemplateFilter
from stemline.jobs.template import Template
from stemline.wire import queries, views
from stemline.wire.codec import Tree
from stemline.wire.template_request import changed_template, new_template

router = Router()


@router.post("/template", name="create_template")
def create_template(context: WriteContext) -> Response:
    """Create a template; its name is unique in the bucket."""
    tenant = context.tenant
    name, separate = new_template(context.fields())
    context.policy.check_model(separate.model)
    context.open_tenant()
    template = context.store.templates.create(tenant, name, separate)
    return context.respond(views.TEMPLATE_ANSWER, template=template)


@router.put("/template/{template_id}", name="update_template")
def update_template(context: WriteContext, template_id: str) -> Response:
    """Change a template; absent fields keep their values, and jobs already submitted keep their copy."""
    fields = context.fields()
    return repeat_if_changed(lambda: _update(context, template_id, fields))


def _update(context: RequestContext, template_id: str, fields: Tree) -> Response:
    tenant = context.tenant
    stored = context.store.templates.get(tenant, template_id)
    if stored is None:
        raise NoSuchTemplate
    name, separate = changed_template(fields, stored.separate)
    context.policy.check_model(separate.model)
    template = context.store.templates.update(
        tenant, template_id, name=name, separate=separate, revision=stored.revision
    )
    return context.respond(views.TEMPLATE_ANSWER, template=template)


@router.get("/template", name="list_templates")
def list_templates(context: ReadContext) -> Response:
    """List templates by ids, or a page of templates by name."""
    tenant = context.tenant
    query = queries.TEMPLATES.read_parameters(queries.ids_alone(context.query))
    if query["ids"]:
        return _by_ids(context, query["ids"])
    filters = TemplateFilter(name_prefix=query["name_prefix"], page=query["page"], size=query["size"])
    found: Listing[Template] = Listing([], 0)
    if query["category"] == "Custom" and query["tag"] in {"All", TAG}:
        found = context.store.templates.search(tenant, filters)
    return context.respond(
        views.TEMPLATE_LIST, items=found.items, total=found.total, page=filters.page, size=filters.size
    )


@router.delete("/template/{template_id}", name="delete_template")
def delete_template(context: WriteContext, template_id: str) -> Response:
    """Delete a template; jobs already submitted keep their copy."""
    context.store.templates.delete(context.tenant, template_id)
    return context.respond(views.DELETED_TEMPLATE, id=template_id)


def _by_ids(context: RequestContext, ids: tuple[str, ...]) -> Response:
    found = context.store.templates.search(context.tenant, TemplateFilter(ids=ids, size=len(ids)))
    missing = {"ids": found.missing} if found.missing else None
    return context.respond(views.TEMPLATE_LIST, items=found.items, missing=missing)
