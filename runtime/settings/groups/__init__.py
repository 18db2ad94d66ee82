"""Every setting, in groups by what it concerns: type, default, unit, bounds, effect.

A setting is read from the variable ``STEMLINE_<NAME>``, where the name is that of the field, or the one given
as ``variable``. ``docs/settings.md`` is made from these classes.
"""

from stemline.runtime.settings.groups.access import AccessSettings, HostSettings
from stemline.runtime.settings.groups.callbacks import CallbackSettings, TdmqSettings
from stemline.runtime.settings.groups.client import ClientSettings, LocalSettings
from stemline.runtime.settings.groups.group import Group
from stemline.runtime.settings.groups.jobs import JobSettings, SourceSettings, TenantSettings
from stemline.runtime.settings.groups.monitoring import LoggingSettings, MetricsSettings, MonitoringSettings
from stemline.runtime.settings.groups.server import ListenerSettings, ServerSettings
from stemline.runtime.settings.groups.storage import StorageSettings
from stemline.runtime.settings.groups.store import StoreSettings
from stemline.runtime.settings.groups.workers import EngineSettings, WorkerSettings

__all__ = [
    "AccessSettings",
    "CallbackSettings",
    "ClientSettings",
    "EngineSettings",
    "Group",
    "HostSettings",
    "JobSettings",
    "ListenerSettings",
    "LocalSettings",
    "LoggingSettings",
    "MetricsSettings",
    "MonitoringSettings",
    "ServerSettings",
    "SourceSettings",
    "StorageSettings",
    "StoreSettings",
    "TdmqSettings",
    "TenantSettings",
    "WorkerSettings",
]
