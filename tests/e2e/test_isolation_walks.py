"""Two workspaces with the same numbers and event ids go every way at once; nothing of one reaches the other."""

import random
from typing import Any

import pytest
from e2e_kit import SMALL
from harness import Harness
from isolation_kit import Tenant, act_together, mark_texts, told

from worker.runtime.reconcile import reconcile

# How each row is tied to a workspace. Tables that are not named here have the column workspace_id.
_CHILDREN = {
    "pike.invoice_lines": ("invoice_id", "pike.invoices"),
    "economic.import_rejects": ("import_id", "economic.imports"),
    "economic.import_preview": ("import_id", "economic.imports"),
    "economic.import_pages": ("import_id", "economic.imports"),
    "economic.replay_letters": ("letter_id", "economic.dead_letters"),
    "economic.schedules": ("connection_id", "economic.connections"),
    "economic.hook_receivers": ("connection_id", "economic.connections"),
    "economic.hooks": ("connection_id", "economic.connections"),
    "economic.hints": ("connection_id", "economic.connections"),
}
_OF_WORKSPACE = {
    child: f"select c.*, p.workspace_id from {child} c join {parent} p on p.id = c.{key}"
    for child, (key, parent) in _CHILDREN.items()
} | {
    f"economic.{table}": f"select *, convert_from(body, 'utf8') as text from economic.{table}"
    for table in ("effects", "dead_letters", "inbox", "outbox", "overflow")
}
_OF_WORKSPACE["economic.operator_audit"] = """
select a.*, convert_from(a.before, 'utf8') as old, convert_from(a.after, 'utf8') as new, d.workspace_id
from economic.operator_audit a join economic.dead_letters d on d.id = a.letter_id"""
# About workers, agreements, operators: no workspace's data in them.
_OF_NOBODY = {
    "economic.gates", "economic.reconciliations", "economic.workers", "economic.lane_samples", "economic.work_samples",
    "economic.operator_sessions", "economic.login_failures", "economic.replays",
    "economic.housekeeping", "economic.entities",
}  # fmt: skip

_CROSSED_LINKS = """
select 'customer of invoice' as what, i.id from pike.invoices i join pike.customers c on c.id = i.customer_id
where c.workspace_id <> i.workspace_id
union all
select 'product of line', l.id from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
join pike.products p on p.id = l.product_id where p.workspace_id <> i.workspace_id
union all
select 'tax rate of line', l.id from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
join pike.tax_rates t on t.id = l.tax_rate_id where t.workspace_id <> i.workspace_id
union all
select 'ledger of invoice', i.id from economic.effects e join pike.invoices i on i.id = e.subject_id
where e.workspace_id <> i.workspace_id
union all
select 'audit of customer', c.id from economic.audit a join pike.customers c on c.id = a.entity_id
where a.workspace_id <> c.workspace_id
union all
select 'import that deactivated', p.id from pike.products p join economic.imports i on i.id = p.deactivated_by_import
where p.workspace_id <> i.workspace_id
"""


async def rows_of(running: Harness, relation: str, workspace: str) -> list[dict[str, Any]]:
    source = _OF_WORKSPACE.get(relation, f"select * from {relation}")
    return await running.rows(f"select to_jsonb(r)::text as text from ({source}) r where workspace_id = $1", workspace)


async def relations(running: Harness) -> list[str]:
    found = await running.rows(
        """select format('%s.%s', n.nspname, c.relname) as name
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname in ('pike', 'pike_reporting', 'economic') and c.relkind in ('r', 'v') order by 1"""
    )
    return [row["name"] for row in found if row["name"] not in _OF_NOBODY]


async def tenants(running: Harness, seed: int) -> list[Tenant]:
    """Two workspaces; their services make up the same ids."""
    made = []
    for workspace, mark in (("ws-alfa", "ALFA"), ("ws-beta", "BETA")):
        agreement = running.sandbox.add_agreement(seed=seed, size=SMALL)
        mark_texts(agreement, mark)
        await running.connect(workspace, agreement=agreement)
        chance = random.Random(f"{seed} {mark}")
        made.append(Tenant(running, workspace, mark, agreement, random.Random(seed), chance))
    return made


@pytest.mark.requirement("B1")
@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_of_one_workspace_reaches_another_whatever_they_do_at_once(running: Harness, seed: int) -> None:
    both = await tenants(running, seed)
    await act_together(both, steps=11)
    seen_in = set()
    for one, other in (both, reversed(both)):
        for relation in await relations(running):
            for row in await rows_of(running, relation, one.workspace):
                assert other.mark not in row["text"], (relation, row["text"])
                assert other.workspace not in row["text"], (relation, row["text"])
                seen_in |= {relation} if one.mark in row["text"] else set()
        for event in running.heard:
            if event.workspace_id == one.workspace:
                assert other.mark not in told(event), event
        theirs = [*one.agreement.drafts, *one.agreement.booked, *one.agreement.customers, *one.agreement.products]
        assert not [each for each in theirs if other.mark in repr(each)]
    assert await running.rows(_CROSSED_LINKS) == []
    assert {
        "pike.customers",
        "pike.invoice_lines",
        "economic.audit",
        "economic.dead_letters",
        "economic.effects",
    } <= seen_in
    dispatcher = running.worker.dispatcher
    proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
    assert (proof.lost, proof.double) == (0, 0)
