"""The Dockerfile, what gets to its builder, and the health check; and the reader that replays it."""

import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from deploy_files import DEPLOY, KUBERNETES, read

from deploy.checks.dockerfile import Context, Instruction, NotUnderstood, parse
from worker.settings import Settings

ROOT = DEPLOY.parent
INSTRUCTIONS = parse((DEPLOY / "Dockerfile").read_text())
CONTEXT = Context.read(ROOT, DEPLOY / "Dockerfile.dockerignore")
LAST = INSTRUCTIONS[max(n for n, each in enumerate(INSTRUCTIONS) if each.keyword == "FROM") :]


def one(keyword: str, instructions: list[Instruction] = LAST) -> Instruction:
    (found,) = [each for each in instructions if each.keyword == keyword]
    return found


def test_the_image_runs_as_nobody_in_particular_and_needs_no_shell() -> None:
    assert one("USER").rest == "10001:10001"
    deployment = read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    assert deployment["securityContext"]["runAsUser"] == 10001
    assert one("ENTRYPOINT").listed() == ["pike-economic"]
    assert one("CMD").listed() == ["run"]
    assert one("STOPSIGNAL").rest == "SIGTERM"
    assert one("HEALTHCHECK").listed()[-2:] == ["/opt/pike-economic/healthcheck.py", "live"]
    assert one("EXPOSE").rest == str(Settings.model_fields["http_port"].default)
    assert [each.keyword for each in LAST if each.keyword == "RUN"] == []


def test_both_stages_stand_on_one_base_of_a_stated_version_that_we_support() -> None:
    bases = [each.rest.split(" ")[0] for each in INSTRUCTIONS if each.keyword == "FROM"]
    assert bases == ["${BASE}", "${BASE}"]
    base = INSTRUCTIONS[0].rest.removeprefix("BASE=")
    version = base.removeprefix("python:").split("-")[0].split(".")
    assert len(version) == 3
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version[0]}.{version[1]}" in classifiers


def test_packages_are_installed_by_hash_and_never_compiled() -> None:
    installing = " ".join(each.rest for each in INSTRUCTIONS if each.keyword == "RUN").split("&&")
    locked = [each for each in installing if "pip" in each and ".lock" in each]
    assert len(locked) == 2
    assert all("--require-hashes" in each and "--only-binary :all:" in each for each in locked)
    (wheel,) = [each for each in installing if ".whl" in each]
    assert "--no-index" in wheel


def test_what_is_copied_gets_through_and_nothing_else_does() -> None:
    copied = [
        source
        for each in INSTRUCTIONS
        if each.keyword == "COPY" and "--from" not in each.rest
        for source in each.words({})[:-1]
    ]
    for source in copied:
        assert CONTEXT.files(source)
    assert set(copied) == set(CONTEXT.allowed)
    for kept_out in ("tests", ".git", "deploy/compose", "requirements.lock"):
        with pytest.raises(NotUnderstood, match="gets through"):
            CONTEXT.files(kept_out)


def test_caches_stay_outside(tmp_path: Path) -> None:
    (tmp_path / "worker/__pycache__").mkdir(parents=True)
    (tmp_path / "worker/__pycache__/x.pyc").touch()
    (tmp_path / "worker/x.py").touch()
    context = Context(tmp_path, ("worker",), ("**/__pycache__",))
    assert context.files("worker") == [Path("worker/x.py")]


@pytest.mark.parametrize(
    "text",
    ["ONBUILD RUN x", "RUN <<EOF\nx\nEOF", "ADD x y"],
    ids=["unknown", "here document", "add"],
)
def test_what_the_replay_cannot_do_is_an_error(text: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(text)


def test_the_shell_form_is_refused_where_the_image_would_need_a_shell() -> None:
    (command,) = parse("CMD pike-economic run")
    with pytest.raises(NotUnderstood, match="exec form"):
        command.listed()


def test_lines_are_joined_comments_left_out_and_names_replaced() -> None:
    (made,) = parse('# a\nENV A="$B/x" \\\n  # inside\n  C=${D}\n')
    assert made.words({"B": "/b"}) == ["A=/b/x", "C="]


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/live" else 503)
        self.end_headers()
        self.wfile.write(b'{"database": false}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, *question: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py", *question],
        env={"PIKE_ECONOMIC_HTTP_PORT": str(port)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_health_check_tells_live_from_ready_and_from_silence(port: int) -> None:
    assert ask(port, "live").returncode == 0
    assert ask(port).returncode == 0
    not_ready = ask(port, "ready")
    assert (not_ready.returncode, not_ready.stdout) == (1, '{"database": false}\n')
    silent = ask(1, "live")
    assert silent.returncode == 1
    assert silent.stdout.startswith("no answer on port 1: ")


def test_every_kubernetes_file_is_used() -> None:
    used = {KUBERNETES / "README.md"}
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        used.add(kustomization)
        said = read(str(kustomization.relative_to(DEPLOY)))
        for each in (*said.get("resources", []), *said.get("components", [])):
            used.add((kustomization.parent / each).resolve())
        for generator in said.get("configMapGenerator", []):
            used |= {kustomization.parent / env for env in generator.get("envs", [])}
    assert {file for file in KUBERNETES.rglob("*") if file.is_file()} <= used
