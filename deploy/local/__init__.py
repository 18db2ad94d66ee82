"""The local stack: every server real, on loopback, nothing to install by hand."""
