"""The networks' weights: where they come from, how they are verified and turned into graphs."""
