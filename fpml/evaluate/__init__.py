"""Measuring what was trained: per sensor, beside the baselines that cost nothing, with intervals."""
