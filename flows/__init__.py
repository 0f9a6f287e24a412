"""Prefect flows: when the graph runs, with what retries and limits. What is stale stays DVC's business."""

import importlib.util
import os

from fpml.environment import PROXIES, make_ready

make_ready()  # before Prefect is imported, which reads the environment as it is then

# Prefect's client ends on a SOCKS proxy that it can't speak to, also where it would not use it. Stages get it back.
WITHHELD: dict[str, str] = {}
if importlib.util.find_spec("socksio") is None:
    for name in [n for n in PROXIES if os.environ.get(n, "").startswith("socks")]:
        WITHHELD[name] = os.environ.pop(name)
