"""The web console: its files, and what it shows beyond the wire. The browser signs like any other client."""

from __future__ import annotations

from stemline.api.console import data, pages

ROUTERS = (pages.router, data.router)
