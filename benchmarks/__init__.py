"""Measurements of the methods and attacks: see README.md in this folder."""
