"""The commands: the folder of the local stack, and the service that is called."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from stemline.runtime.settings.groups.group import Group, setting


class LocalSettings(Group):
    """The local stack."""

    home: Path = setting(Path(".stemline"), "Folder of the local stack: data, logs, generated credentials.")


class ClientSettings(Group):
    """The commands that call a service, and the Python client: which one, and with which key pair."""

    api: str = setting("", "URL of the API.")
    secret_id: str = setting("", "SecretId that requests are signed with.")
    secret_key: SecretStr = setting(SecretStr(""), "Its SecretKey.")
    session_token: SecretStr = setting(SecretStr(""), "Token of a temporary key.")
    bucket: str = setting("", "Bucket whose jobs these are; its region is that of STEMLINE_REGION.")
    profile: str = setting("", "Profile of `stemline login` to use.")
