"""The site that `make docs` builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tools.docs import stage

pytestmark = pytest.mark.slow

_LOADED = re.compile(r"""<(?:script|img|link)\b[^>]*?\b(?:src|href)=["']([^"']+)""")
_PROGRAMS = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"<([a-zA-Z][\w-]*)")
_CELL = re.compile(r"<t[dh]\b.*?</t[dh]>", re.DOTALL)
_TAGS = """
a abbr article aside body br button code dd details div dl dt em figure footer form h1 h2 h3 h4 h5 h6 head
header hr html img input kbd label li link main meta nav ol p pre section small source span strong sub summary
sup table tbody td th thead title tr ul video
"""
_NOT_LOADED = re.compile(r"""<link\b[^>]*?rel=["'](?:canonical|prev|next)["'][^>]*>""")


def build(program: str, source: Path, site: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Build pages with the project's configuration into a folder beside them; warnings are errors."""
    configuration = site.with_suffix(".yml")
    lines = {"INHERIT": REPOSITORY / "mkdocs.yml", "docs_dir": source.name, "site_dir": site.name, **more}
    configuration.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
    return subprocess.run(
        [sys.executable, "-m", program, "build", "--strict", "-f", configuration],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the site's generators read them."""
    folder = tmp_path_factory.mktemp("source") / "pages"
    stage.write(folder)
    return folder


def missing(site: Path) -> set[str]:
    """What pages load that is not in the site: scripts, images, styles."""
    return {
        f"{page.relative_to(site)}: {address}"
        for page in site.rglob("*.html")
        if page.name != "404.html"  # served under any path, so its addresses are absolute
        for address in _LOADED.findall(_NOT_LOADED.sub("", page.read_text()))
        if not (page.parent / re.split("[?#]", address)[0]).exists()
    }


def unreadable(site: Path) -> set[str]:
    """Words in angle brackets that a browser takes for tags, and escapes that are shown to readers."""
    found = set()
    for page in site.rglob("*.html"):
        text = _PROGRAMS.sub("", page.read_text())
        found |= {f"{page.name}: <{name}>" for name in set(_TAG.findall(text)) - set(_TAGS.split())}
        found |= {f"{page.name}: {cell}" for cell in _CELL.findall(text) if "\\|" in cell}
    return found


def test_the_site_builds_and_works_without_a_network(source: Path) -> None:
    """Links, anchors and navigation hold, and no page loads anything that the site does not contain."""
    site = source.with_name("mkdocs")
    built = build("mkdocs", source, site)
    assert 0 == built.returncode, built.stderr
    assert len(list(site.rglob("*.html"))) > 50
    assert set() == missing(site)
    assert set() == unreadable(site)
    start = (site / "index.html").read_text()
    assert "assets/mermaid.tiny.js" in start
    assert "assets/iframe-worker.js" in start


def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    """Links to a page and to a heading, of the same page or another, are errors if they lead nowhere."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "other.md").write_text("# Other\n")
    (pages / "index.md").write_text(
        "# Page\n\n[a](gone.md) [b](other.md#gone) [c](#gone) [d](other.md#other)\n"
    )
    built = build("mkdocs", pages, tmp_path / "site", nav="[index.md, other.md]")
    assert 1 == built.returncode
    warnings = [line for line in built.stderr.splitlines() if "index.md" in line]
    assert 3 == len([line for line in warnings if "gone" in line]), built.stderr
    assert not [line for line in warnings if "#other" in line]


@pytest.mark.thorough
def test_zensical_reads_the_configuration(source: Path) -> None:
    """Zensical, the successor of the theme, builds the same pages from the same configuration."""
    site = source.with_name("zensical")
    built = build("zensical", source, site)
    assert 0 == built.returncode, built.stdout + built.stderr
    for page in ("index.html", "reference/commands.html", "decisions/index.html"):
        assert (site / page).is_file()
    assert set() == missing(site)


def test_vendored_files_are_those_of_the_list() -> None:
    """Each script that the site brings is listed with its licence and has the listed checksum."""
    folder = REPOSITORY / "docs" / "assets"
    text = (folder / "VENDORED.md").read_text()
    listed = dict(re.findall(r"^\| `(\S+)` \|.*\| MIT.*\| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
    assert listed == {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.js")}
