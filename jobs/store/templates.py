"""Templates in Redis."""

from __future__ import annotations

from stemline.jobs.errors import (
    ChangedMeanwhile,
    CreatedTemplateNumLimit,
    NoSuchTemplate,
    TemplateNameDuplicate,
)
from stemline.jobs.ids import new_template_id
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import TemplateRepository
from stemline.jobs.store.values import Listing, TemplateFilter, page_of
from stemline.jobs.template import Template
from stemline.jobs.tenant import Tenant

_WRITE_ERRORS = {
    "unknown": NoSuchTemplate,
    "changed": ChangedMeanwhile,
    "duplicate": TemplateNameDuplicate,
    "limit": CreatedTemplateNumLimit,
}


class RedisTemplates(TemplateRepository):
    """Templates in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, tenant: Tenant, template_id: str) -> Template | None:
        found = self._load([template_id])
        return found[0] if found and found[0].tenant == tenant else None

    def search(self, tenant: Tenant, which: TemplateFilter) -> Listing[Template]:
        connection = self._connection
        known = connection.read(connection.client.zrevrange, connection.key("templates", str(tenant)), 0, -1)
        wanted = [template_id for template_id in known if not which.ids or template_id in which.ids]
        templates = [t for t in self._load(wanted) if t.name.startswith(which.name_prefix)]
        missing = tuple(template_id for template_id in which.ids if template_id not in known)
        return Listing(page_of(templates, which.page, which.size), len(templates), missing)

    def create(self, tenant: Tenant, name: str, separate: VoiceSeparate) -> Template:
        return self._write(tenant, new_template_id(), "create", name=name, separate=separate)

    def update(
        self,
        tenant: Tenant,
        template_id: str,
        *,
        name: str | None = None,
        separate: VoiceSeparate | None = None,
        revision: int | None = None,
    ) -> Template:
        return self._write(tenant, template_id, "update", name=name, separate=separate, revision=revision)

    def delete(self, tenant: Tenant, template_id: str) -> None:
        if not self._connection.run("delete_template", str(tenant), template_id):
            raise NoSuchTemplate

    def _write(
        self,
        tenant: Tenant,
        template_id: str,
        mode: str,
        *,
        name: str | None,
        separate: VoiceSeparate | None,
        revision: int | None = None,
    ) -> Template:
        parameters = records.text(records.SEPARATE, separate) if separate else ""
        limit = self._connection.options.templates_per_bucket
        answer = self._connection.run(
            "template",
            str(tenant),
            template_id,
            mode,
            limit,
            name or "",
            parameters,
            "" if revision is None else revision,
        )
        if answer[0] in _WRITE_ERRORS:
            raise _WRITE_ERRORS[answer[0]]
        for template in self._load([template_id]):
            return template
        raise NoSuchTemplate  # deleted since

    def _load(self, ids: list[str]) -> list[Template]:
        rows = zip(ids, self._connection.hashes("template", ids), strict=True)
        return [records.template(template_id, record) for template_id, record in rows if record]
