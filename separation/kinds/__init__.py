"""What goes into a network and what comes out: a module for each kind."""
