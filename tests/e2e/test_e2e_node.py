"""The example for Node, from a clean folder to the completion of its invoice, beside a whole worker."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from harness import WORKSPACE, Harness
from node_toolchain import Node, find_node

pytestmark = pytest.mark.requirement("B18")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "examples" / "node"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return find_node(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def example(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as its README builds it: npm ci, types from the contract, tsc."""
    deploy = tmp_path_factory.mktemp("deploy")
    folder = deploy / "examples" / "node"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "contract"))
    shutil.copytree(ROOT / "deploy" / "contract" / "schemas", deploy / "contract" / "schemas")
    for step in (("ci",), ("run", "build")):
        done = node.run(*step, cwd=folder)
        assert done.returncode == 0, f"npm {' '.join(step)}: {done.stdout}{done.stderr}"
    return folder


async def publish_invoice(node: Node, example: Path, running: Harness, *options: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        node.node, "dist/publish-invoice.js", *options, cwd=example,
        env=node.environment(PIKE_AMQP_URL=running.settings.amqp_url.get_secret_value()),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, out.decode(), err.decode()


async def test_node_publishes_an_invoice_and_receives_its_completion(
    node: Node, example: Path, running: Harness
) -> None:
    await running.import_all("products")
    product = await running.value("select id::text from pike.products where active order by external_number limit 1")
    drafts = len(running.agreement.drafts)
    code, out, err = await publish_invoice(node, example, running, "--workspace", WORKSPACE, "--product", product)
    assert code == 0, err
    answer = json.loads(out)
    assert answer["type"] == "economic.invoice.synced"
    assert (answer["data"]["status"], answer["data"]["net"]) == ("draft", "7125.75")
    assert len(running.agreement.drafts) == drafts + 1


async def test_node_hears_why_an_invoice_failed(node: Node, example: Path, running: Harness) -> None:
    product = "00000000-0000-4000-8000-000000000001"
    code, out, err = await publish_invoice(node, example, running, "--workspace", "ws-nobody", "--product", product)
    assert code == 1, err
    assert json.loads(out)["data"]["problem"]["cause"] == "not_connected"


def test_event_that_breaks_the_contract_does_not_compile(node: Node, example: Path) -> None:
    source = example / "src" / "publish-invoice.ts"
    good = source.read_text(encoding="utf-8")
    source.write_text(good.replace('unit_price: "950.10"', "unit_price: 950.1"), encoding="utf-8")
    try:
        done = node.run("exec", "--", "tsc", "--noEmit", cwd=example)
    finally:
        source.write_text(good, encoding="utf-8")
    assert done.returncode != 0
    assert "Type 'number' is not assignable to type 'string'" in done.stdout


def test_lock_pins_every_package_by_hash_and_names_no_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) >= 20
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())
    wanted = json.loads((EXAMPLE / "package.json").read_text(encoding="utf-8"))
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert versions == {name: packages[f"node_modules/{name}"]["version"] for name in versions}
