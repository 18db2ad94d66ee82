"""Settings of a process, read from ``STEMLINE_…`` variables.

``groups`` holds every setting, ``values.py`` holds the types that have parts of their own.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from stemline.runtime.settings.groups import (
    AccessSettings,
    CallbackSettings,
    ClientSettings,
    EngineSettings,
    Group,
    HostSettings,
    JobSettings,
    ListenerSettings,
    LocalSettings,
    LoggingSettings,
    MetricsSettings,
    MonitoringSettings,
    ServerSettings,
    SourceSettings,
    StorageSettings,
    StoreSettings,
    TdmqSettings,
    TenantSettings,
    WorkerSettings,
)
from stemline.runtime.settings.values import BucketAccess, Credential, HostRoute
from stemline.runtime.settings.variables import PREFIX, read_variables, variable_name

__all__ = ["PREFIX", "BucketAccess", "Credential", "HostRoute", "Settings"]


class Settings(BaseModel):
    """All settings of a process, in groups; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    local: LocalSettings
    client: ClientSettings
    store: StoreSettings
    hosts: HostSettings
    access: AccessSettings
    server: ServerSettings
    listeners: ListenerSettings
    tenants: TenantSettings
    jobs: JobSettings
    source: SourceSettings
    storage: StorageSettings
    workers: WorkerSettings
    engine: EngineSettings
    callbacks: CallbackSettings
    tdmq: TdmqSettings
    logging: LoggingSettings
    metrics: MetricsSettings
    monitoring: MonitoringSettings

    def __init__(self, **values: Any) -> None:
        """Read the settings.

        Args:
            values: Settings by the name of their variable in lower case without prefix, such as
                ``redis_url``; they take precedence over the environment.

        Raises:
            pydantic.ValidationError: A value is not valid, or a ``STEMLINE_`` variable is unknown.
            pydantic_settings.SettingsError: A variable is not valid JSON.
        """
        groups = groups_by_name()
        read = read_variables(tuple(groups.values()), values)
        super().__init__(
            **{
                name: group.model_construct(
                    **{field: read[variable_name(group, field)] for field in group.model_fields}
                )
                for name, group in groups.items()
            }
        )

    def with_changes(self, **values: Any) -> Self:
        """Return a copy with some settings changed.

        Args:
            values: As for the constructor.
        """
        return type(self)(**{**self.by_variable(), **values})

    def by_variable(self) -> dict[str, Any]:
        """Return every setting by the name of its variable, in lower case and without prefix."""
        return {
            variable_name(type(group), field): getattr(group, field)
            for group in (getattr(self, name) for name in groups_by_name())
            for field in type(group).model_fields
        }


def groups_by_name() -> dict[str, type[Group]]:
    """Return the groups of settings by their attribute of :class:`Settings`."""
    return {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
    }
