"""Write the names of settings into the chart's schema: ``python -m tools.docs.chart_settings``."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

from stemline.runtime.settings import PREFIX, groups_by_name
from stemline.runtime.settings.groups import ClientSettings, LocalSettings
from stemline.runtime.settings.variables import variable_name

SCHEMA = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "stemline" / "values.schema.json"
_NAMES = re.compile(r'(?<="settingName": \{\n      "enum": \[\n).*?(?=^      \]$)', re.DOTALL | re.MULTILINE)


def schema() -> str:
    """Return the schema with the settings of the services that are no secrets, which `settings` takes."""
    text = SCHEMA.read_text()
    secrets = set(json.loads(text)["definitions"]["secretName"]["enum"])
    elsewhere = {ClientSettings, LocalSettings}
    names = {
        f"{PREFIX}{variable_name(group, field)}".upper()
        for group in groups_by_name().values()
        if group not in elsewhere
        for field in group.model_fields
    } - secrets
    listed = ", ".join(json.dumps(name) for name in sorted(names))
    lines = textwrap.fill(listed, 120, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return _NAMES.sub(f"{lines}\n", text)


if __name__ == "__main__":
    SCHEMA.write_text(schema())
