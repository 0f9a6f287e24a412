"""python -m infra.local up | down | status | backup DIR | restore DIR, over the services of infra/local/services.py."""

import argparse
import os
import sys
from pathlib import Path

from fpml.base.environment import make_ready
from infra.local.service import ServiceError
from infra.local.services import PORTS, ROOT, Services


def main() -> int:
    make_ready()
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "status", "backup", "restore"])
    parser.add_argument("names", nargs="*", help="up: only these services; backup and restore: a folder")
    parser.add_argument("--free-ports", action="store_true", help="up: free ports in place of the usual ones")
    a = parser.parse_intermixed_args()
    services = Services(
        Path(os.environ.get("FPML_SERVICES") or ROOT / ".fpml" / "services"), dict.fromkeys(PORTS, 0) if a.free_ports else None
    )
    try:
        if a.what == "up":
            known = [service.name for service in services.all()]
            if unknown := [name for name in a.names if name not in known]:
                raise ServiceError(f"no service {unknown[0]}; there are: {', '.join(known)}")
            for service in services.all():
                if not a.names or service.name in a.names:
                    print(f"{service.name} ...", flush=True)
                    services.start(service)
            print(f"\nfor your shell:  . {services.write_environment()}\n")
        elif a.what == "down":
            services.down()
        elif a.what in ("backup", "restore"):
            if len(a.names) != 1:
                parser.error(f"{a.what} takes one folder")
            getattr(services, a.what)(Path(a.names[0]).resolve())
            print(f"{a.what}: done, {a.names[0]}")
        health = services.health()
    except ServiceError as error:
        print(f"infra.local: {error}", file=sys.stderr)
        return 2
    for name, state, address in health:
        print(f"{name:10} {state:16} {address}")
    return 0 if a.what != "status" or all(state == "healthy" for _, state, _ in health) else 1


if __name__ == "__main__":
    sys.exit(main())
