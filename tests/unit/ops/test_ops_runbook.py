"""Every command and setting that the pages for operators name exists, with these options."""

import re
import shlex
from pathlib import Path

import click
import pytest

from worker.cli.app import cli
from worker.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "deploy").glob("*.md")), *sorted((ROOT / "deploy" / "docs").rglob("*.md"))]
IN_TEXT = re.compile(r"`(pike-economic(?: [^`]+)?)`")
IN_BLOCK = re.compile(r"^ *(?:[A-Z_]+=\S+ )?(pike-economic [^#\n]+)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"```sh[^\n]*\n(.*?)```", text, re.DOTALL):
            found += [(page.name, line.strip()) for line in IN_BLOCK.findall(block)]
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += [(page.name, " ".join(said.split())) for said in IN_TEXT.findall(prose)]
    return sorted(set(found))


def complaint(line: str) -> str | None:
    """What is wrong with a command line, without running it."""
    words = [word for word in shlex.split(line.replace("…", "").partition("<")[0])[1:] if word]
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        found = command.commands.get(words[0])
        if found is None and command.name == "import":  # it imports when no other command is named
            found, words = command.commands["data"], ["data", *words]
        if found is None:
            return (
                None if words[0].startswith("--") and words[0] in ("--version", "--help") else f"no command {words[0]}"
            )
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word not in known]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_that_a_page_names_exists(page: str, line: str) -> None:
    assert complaint(line) is None


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert complaint("pike-economic unicorn")
    assert complaint("pike-economic dead replay --unicorn")
    assert len(commands()) > 30


def test_a_setting_that_a_page_names_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    tests_own = {"PIKE_ECONOMIC_TEST_AMQP_URL", "PIKE_ECONOMIC_TEST_DATABASE_URL"}
    for page in PAGES:
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", page.read_text()))
        assert named <= known | tests_own, page
