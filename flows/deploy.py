"""Put the deployments of infra/prefect.yaml in place on the server of $PREFECT_API_URL. `python -m flows.deploy --help`

Also the work pool, the limit that lets one training at a time use a GPU, and the automations that tell of failures. May be
repeated: what is there is brought up to date."""

import argparse
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from flows.pipeline import GPU_TAG
from flows.stages import ROOT
from flows.watch import DRIFT_EVENT
from fpml.base.environment import AWAY, heed_signals, through_proxy

POOL = "fpml"
TAG = "fpml"
FAILED = "fpml: a flow failed"
DIED = "fpml: a flow run died"
DIED_MESSAGE = "no sign of life: its worker or machine is gone; the next run goes on from what it had done"
SILENT_SECONDS = 90  # three beats
DRIFTED = "fpml: new prints are unlike the old"
SUBJECT = "fpml: {{ flow_run.name if flow_run else event.event }}"
FAILED_BODY = "{{ flow.name }} {{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message }}"
DRIFT_BODY = "{{ event.resource.id }}: {{ event.payload }}"


def main(arguments: list[str]) -> int:
    heed_signals()
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description=__doc__)
    parser.add_argument("--pool-type", choices=["process", "docker", "kubernetes"], default="process")
    parser.add_argument(
        "--project", type=Path, default=ROOT, help="the project's folder on the worker's machine (default: this)"
    )
    parser.add_argument("--gpus", type=int, default=1, help="how many trainings may use a GPU at once (default 1)")
    parser.add_argument(
        "--notify", metavar="TYPE/NAME", help="a notification block, e.g. slack-webhook/alerts, told of failures"
    )
    a = parser.parse_args(arguments)
    if a.gpus < 1:
        parser.error(f"--gpus is {a.gpus}; allowed: 1 or more (0 would end every training)")
    if not os.environ.get("PREFECT_API_URL"):
        print("flows.deploy: PREFECT_API_URL is not set; `make up` starts a server and says how to reach it", file=sys.stderr)
        return 2
    where = os.environ["PREFECT_API_URL"] + through_proxy(os.environ["PREFECT_API_URL"])
    try:
        _put_in_place(a)
    except KeyboardInterrupt:
        print("\nflows.deploy: interrupted; run it again to put the rest in place", file=sys.stderr)
        return 130
    except httpx.TransportError as error:
        print(f"flows.deploy: {where} does not answer ({error}); run: make up", file=sys.stderr)
        return 2
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        if code not in (401, *AWAY):
            raise
        refused = "Prefect refuses $PREFECT_API_AUTH_STRING; for this shell: . .fpml/services/secrets/env"
        print(f"flows.deploy: {refused if code == 401 else f'{where} does not answer ({code})'}", file=sys.stderr)
        return 2
    return 0


def _put_in_place(a: argparse.Namespace) -> None:
    with get_client(sync_client=True) as client:
        _pool(client, a.pool_type)
        client.create_concurrency_limit(tag=GPU_TAG, concurrency_limit=a.gpus)
        print(f"work pool {POOL} ({a.pool_type}); trainings at a time: {a.gpus}")
        deploy(a.project)
        _automation(
            DIED, died(), ChangeFlowRunState(name="Crashed", state=StateType.CRASHED, message=DIED_MESSAGE, force=False)
        )
        if a.notify:
            block = _block(client, a.notify)
            for name, trigger, body in ((FAILED, failed(), FAILED_BODY), (DRIFTED, drifted(), DRIFT_BODY)):
                _automation(name, trigger, SendNotification(block_document_id=block, subject=SUBJECT, body=body))
            print(f"failures and drift are told to {a.notify}")
        else:
            print("nobody is told of failures: make a notification block (Prefect's pages, Blocks), then --notify TYPE/NAME")


def deploy(project: Path) -> None:
    """All deployments of infra/prefect.yaml, for a project's folder on the worker's machine."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
    environment = {**os.environ, "FPML_PROJECT": str(project)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SystemExit(f"flows.deploy: prefect deploy failed: {' '.join((done.stderr or done.stdout).split())[-800:]}")
    print("deployed: nightly, on-new-data, promote, doctor")


def failed() -> EventTrigger:
    """A flow run with the tag fpml that failed, crashed, or ran past its time."""
    return EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"},
        posture=Posture.Reactive,
        threshold=1,
    )  # fmt: skip


def died() -> EventTrigger:
    """A flow run that beat and beats no more: its worker or its machine is gone. Left as it is, it would count as running
    for ever, and the limit of one run at a time would cancel every later one."""
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")}
    return EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENT_SECONDS),
    )


def drifted() -> EventTrigger:
    return EventTrigger(expect={DRIFT_EVENT}, posture=Posture.Reactive, threshold=1)


def _pool(client: SyncPrefectClient, kind: str) -> None:
    template: dict[str, Any] | None = None
    if kind == "kubernetes":
        template = json.loads((ROOT / "infra" / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8"))
    try:
        found = client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=kind, base_job_template=template or {}))
        return
    if found.type != kind:
        raise SystemExit(
            f"flows.deploy: work pool {POOL} is there with type {found.type}; delete it first: prefect work-pool delete {POOL}"
        )
    if template:
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))


def _block(client: SyncPrefectClient, name: str) -> Any:
    kind, _, block = name.partition("/")
    try:
        return client.read_block_document_by_name(block, kind).id
    except ObjectNotFound:
        raise SystemExit(f"flows.deploy: no block {name}; allowed: TYPE/NAME of one in Prefect's pages, under Blocks") from None


def _automation(name: str, trigger: EventTrigger, action: Any) -> None:
    wanted = Automation(name=name, trigger=trigger, actions=[action])
    try:
        known: Any = Automation.read(name=name)
    except ValueError:
        wanted.create()
        return
    known.trigger, known.actions = wanted.trigger, wanted.actions
    known.update()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
