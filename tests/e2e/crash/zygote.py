"""Starts real worker processes in milliseconds: everything is imported once here, then each command is a fork.

Speaks lines of JSON: {"start": [arguments], "environment": {…}, "input": "…"} is answered with {"pid": n} and
{"reap": pid} with {"code": n} once that process has ended. Ends when its input does, and takes its children along.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any

for name in ("app", "running", "requests"):
    importlib.import_module(f"worker.cli.{name}")
for name in ("worker.bootstrap", "worker.ops.app", "aiohttp", "asyncpg", "aio_pika"):
    importlib.import_module(name)


def start(request: dict[str, Any]) -> int:
    """Fork a process that is ``python -m worker <arguments>`` in all but its start."""
    reading, writing = os.pipe()
    os.write(writing, request.get("input", "").encode())
    os.close(writing)
    pid = os.fork()
    if pid:
        os.close(reading)
        return pid
    os.dup2(reading, 0)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    quiet = os.open(request.get("log") or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.environ.update(request["environment"])
    sys.argv = ["python -m worker", *request["start"]]
    from worker.cli.app import main

    code = 1
    try:
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


def serve() -> None:
    """Answer requests, one line each."""
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            children.add(pid := start(request))
            answer = {"pid": pid}
        else:
            _, status = os.waitpid(request["reap"], 0)
            children.discard(request["reap"])
            answer = {"code": os.waitstatus_to_exitcode(status)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
