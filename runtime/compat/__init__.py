"""Patches of third parties, and every use of what they do not document: one module for each of them.

Importing a module here changes nothing; the composition root (:mod:`stemline.runtime.bootstrap`) applies the
patches of the process it builds.
"""
