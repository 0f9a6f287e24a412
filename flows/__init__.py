"""When the graph runs, with what retries and limits: by Prefect, or here at once. What is stale stays DVC's business."""

import importlib.util
import os
from pathlib import Path

from fpml.base.environment import PROXIES, make_ready, sqlite_uri

make_ready()  # before Prefect is imported, which reads the environment as it is then

prefect_home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
if "?" in str(prefect_home):  # at which its database's own address would end
    os.environ.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", sqlite_uri("sqlite+aiosqlite", prefect_home / "prefect.db"))

# Prefect's client ends on a SOCKS proxy that it can't speak to, also where it would not use it. Stages get it back.
WITHHELD: dict[str, str] = {}
if importlib.util.find_spec("socksio") is None:
    for name in [n for n in PROXIES if os.environ.get(n, "").startswith("socks")]:
        WITHHELD[name] = os.environ.pop(name)
