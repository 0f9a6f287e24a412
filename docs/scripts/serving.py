"""Latency and throughput of a registered model over HTTP: python docs/scripts/serving.py models:/reconstruct@challenger

Starts `mlflow models serve` on a free port of loopback and ends it again. Beside it ONNX Runtime alone:
what the server, JSON above all, costs."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import onnxruntime

CLIENTS, SECONDS = (1, 4, 16), 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(model: str) -> None:
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
    folder = mlflow.artifacts.download_artifacts(model)
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    print_ = np.random.default_rng(0).integers(0, 255, (1, *given.shape[1:]), dtype=np.uint8)
    body = json.dumps({"inputs": {given.name: print_.tolist()}}).encode()
    port = free_port()
    serve = [
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        folder,
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = subprocess.Popen([sys.executable, *serve], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask() -> float:
        start = time.perf_counter()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return time.perf_counter() - start

    try:
        while True:
            try:
                ask()
                break
            except OSError:
                time.sleep(0.2)
        size, kib = f"{print_.shape[-2]} x {print_.shape[-1]}", len(body) // 1024
        print(f"{model}, one print of {size} a request, {kib} KiB; {os.cpu_count()} cores")
        print("| clients | median ms | 95th percentile ms | prints a second |\n|---|---|---|---|")
        for clients in CLIENTS:
            times: list[float] = []
            end = time.perf_counter() + SECONDS

            def work(_: int, times: list[float] = times, end: float = end) -> None:
                while time.perf_counter() < end:
                    times.append(ask())

            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(work, range(clients)))
            low, high = np.percentile(times, [50, 95]) * 1000
            print(f"| {clients} | {low:.1f} | {high:.1f} | {len(times) / SECONDS:.1f} |")
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            session.run(None, {given.name: print_})
            count += 1
        print(f"| ONNX Runtime alone | {1000 * SECONDS / count:.1f} | | {count / SECONDS:.1f} |")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "models:/reconstruct@challenger")
