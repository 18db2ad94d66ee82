"""Spleeter's networks in C for CPUs: the sources, and the libraries that the build makes from them."""
