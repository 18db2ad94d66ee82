"""The models: their catalogue, the download and verification of their weights, and the loading of engines."""
