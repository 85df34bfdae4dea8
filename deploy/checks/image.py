"""Carries out a Dockerfile's instructions in rooms instead of containers, in order, and as they are written."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.checks.dockerfile import Context, Instruction, NotUnderstood, parse, replaced
from deploy.checks.rooms import Room

BASE_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Image:
    """A stage while it is built, and the image when it is the last one."""

    room: Room
    arguments: dict[str, str]
    name: str = ""
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    workdir: str = "/"
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stopsignal: str = "SIGTERM"
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """What ``$NAME`` stands for."""
        return {**self.arguments, **self.environment}


def build(dockerfile: Path, context: Context, folder: Path, given: Mapping[str, str]) -> Image:
    """Build all stages in ``folder`` and return the last. ``given`` are build arguments.

    Raises ``NotUnderstood`` with the instruction, and with what a command printed when it failed.
    """
    stages: list[Image] = []
    before: dict[str, str] = {}
    for instruction in parse(dockerfile.read_text(encoding="utf-8")):
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, folder / str(len(stages)), before))
        elif not stages:
            before.update(_argument(instruction, given, {}))
        else:
            _carry_out(instruction, stages, context, given)
    return stages[-1]


def _stage(instruction: Instruction, folder: Path, values: Mapping[str, str]) -> Image:
    base, *name = instruction.words(values)
    if not base.startswith("python:"):
        raise NotUnderstood(f"FROM {base}: only a Python image can be stood in for")
    return Image(Room.make(folder), {}, name[1] if name else "")


def _argument(instruction: Instruction, given: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    name, _, default = instruction.rest.partition("=")
    return {name: given.get(name, replaced(default.strip('"'), values))}


def _carry_out(instruction: Instruction, stages: list[Image], context: Context, given: Mapping[str, str]) -> None:
    image = stages[-1]
    match instruction.keyword:
        case "ARG":
            image.arguments.update(_argument(instruction, given, image.values))
        case "ENV":
            image.environment.update(word.split("=", 1) for word in instruction.words(image.values))
        case "LABEL":
            image.labels.update(word.split("=", 1) for word in instruction.words(image.values))
        case "WORKDIR":
            image.workdir = instruction.rest
            _at(image, "/", instruction.rest).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = instruction.rest
        case "STOPSIGNAL":
            image.stopsignal = instruction.rest
        case "ENTRYPOINT":
            image.entrypoint = instruction.listed()
        case "CMD":
            image.command = instruction.listed()
        case "HEALTHCHECK":
            image.healthcheck = instruction.listed()
        case "COPY":
            _copy(instruction, stages, context)
        case "RUN":
            _run(instruction, image)


def _run(instruction: Instruction, image: Image) -> None:
    environment = {**_of_this_machine(), "HOME": "/root", **image.arguments, **image.environment}
    done = image.room.run(["/bin/sh", "-c", instruction.rest], environment, workdir=image.workdir)
    if done.returncode:
        raise NotUnderstood(f"RUN {shlex.quote(instruction.rest)} failed:\n{done.stdout}{done.stderr}")
    sys.stdout.write(done.stdout)


def _of_this_machine() -> dict[str, str]:
    """How pip gets to its index is a matter of the machine, not of the image."""
    ways = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return {name: value for name, value in os.environ.items() if name in ways or name.lower().endswith("_proxy")}


def _copy(instruction: Instruction, stages: list[Image], context: Context) -> None:
    image = stages[-1]
    words = instruction.words(image.values)
    options = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")]
    destination = _at(image, image.workdir, target)
    if options:
        (option,) = options
        (origin,) = [stage for stage in stages if option == f"--from={stage.name}"]
        for source in sources:
            shutil.copytree(_at(origin, "/", source), destination, symlinks=True)
        return
    for source in sources:
        for file in context.files(source):
            # A folder's contents are copied, not the folder; a file goes into a target that ends with /
            inner = file.relative_to(source) if (context.root / source).is_dir() else Path(file.name)
            whole = destination / inner if target.endswith("/") or (context.root / source).is_dir() else destination
            whole.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context.root / file, whole)


def _at(image: Image, workdir: str, path: str) -> Path:
    return image.room.root / (Path(workdir) / path).as_posix().lstrip("/")
