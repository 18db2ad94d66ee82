"""Patches of third parties are applied only to versions they were tested with."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from stemline.runtime.compat import versions
from stemline.runtime.errors import UntestedVersion

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]


def modules() -> set[str]:
    folder = Path(versions.__file__).parent
    return {path.stem for path in folder.glob("*.py")} - {"__init__", "versions"}


def test_private_api_is_used_in_compat_alone():
    """No other module of the product patches an object, or reaches for what a package keeps private."""
    root = Path(__file__).parents[3] / "src" / "stemline"
    signs = re.compile(
        r"SLF001|\bsetattr\((?!sys, )|(?<!context)vars\(|^\s*(from|import) \w+(\.\w+)*\._\w", re.MULTILINE
    )
    product = [path for link in root.iterdir() if link.is_symlink() for path in link.resolve().rglob("*.py")]
    assert len(product) > 100
    assert [] == [
        str(path)
        for path in product
        if path.parent.name != "compat" and signs.search(path.read_text(encoding="utf-8"))
    ]


def test_every_patched_package_is_listed():
    """Each module of `compat` is named after a package in the list of those whose version is checked."""
    assert modules() == {name.removesuffix("-client") for name in versions.PATCHED}


@pytest.mark.parametrize("name", versions.PATCHED)
def test_every_patched_package_has_an_upper_bound(name):
    """`pyproject.toml` allows no version that the patches were not tested with."""
    found = [each for each in REQUIREMENTS if each.name == name]
    assert found
    assert all("<" in {part.operator for part in each.specifier} for each in found)


def test_the_installed_versions_are_accepted():
    """What the lock file installs is within the bounds."""
    versions.check(*versions.PATCHED)


def test_an_untested_version_is_refused(monkeypatch):
    """A newer version stops the process, and the message says what is installed and what would do."""
    monkeypatch.setattr(
        versions, "version", lambda name: "99.0" if name == "kombu" else metadata.version(name)
    )
    with pytest.raises(UntestedVersion, match=r"kombu 99\.0 is installed.*kombu.*<5\.8"):
        versions.check("celery", "kombu")
