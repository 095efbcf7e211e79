"""Sweeps: many runs of the script, from one file with a grid or a search."""
