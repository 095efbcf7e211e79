"""Auxiliary modules, which train beside a classifier: word masks, adapters, critics, tables, averaged parameters."""
