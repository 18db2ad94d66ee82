"""Many tracks, each separated once, however often the program that does it is stopped."""
