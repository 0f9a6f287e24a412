"""Prefect flows: when the graph runs, with what retries and limits. What is stale stays DVC's business."""

from fpml.environment import make_ready

make_ready()  # before Prefect is imported, which reads the environment as it is then
