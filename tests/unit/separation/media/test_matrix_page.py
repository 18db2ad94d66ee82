"""The table of test media in docs/media.md."""

from __future__ import annotations

from tests.media_formats import FORMATS
from tests.media_table import PAGE, written


def test_the_table_is_up_to_date():
    """The page lists what the matrix holds: at least 300 files."""
    page = PAGE.read_text()

    assert page == written(page)
    assert sum(len(list(kind.arrangements())) for kind in FORMATS) >= 300
