"""Flower, behind a login and without the right to change anything."""
