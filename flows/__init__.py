"""Prefect flows: when the graph runs, with what retries and limits. What is stale stays DVC's business."""
