"""Every template can be compiled, and none brings script or style of its own along, which the policy would refuse."""

import re
from pathlib import Path

import pytest

from worker.web import pages

FOLDER = Path(pages.__file__).parent / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_compiles_and_holds_neither_script_nor_style(name: str) -> None:
    pages._environment().get_template(name)
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"\{\{ asset)|javascript:|\|\s*safe", text)
