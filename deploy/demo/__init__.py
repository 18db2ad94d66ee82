"""The demo: a song whose true stems are known."""
