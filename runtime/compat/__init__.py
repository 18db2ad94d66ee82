"""Patches of third parties, and uses of what they do not document: one module for each of them.

Importing a module here changes nothing; the composition root (:mod:`stemline.runtime.bootstrap`) applies the
patches of the process it builds. Each module gives its reasons, and the upstream issue where there is one.
``pyproject.toml`` bounds the versions of these packages from above: see
:func:`stemline.runtime.compat.versions.check`.
"""
