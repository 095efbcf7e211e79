"""Shared code of all trainers: task loss, logs, evaluation, views, auxiliary modules, model card, arguments."""
