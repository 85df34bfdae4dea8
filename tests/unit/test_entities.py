"""The table of kinds: complete, in step with the names, and honest about what a kind's rows need."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.base import Strict
from schemas.kinds import IMPORTABLE, KINDS, LIST_OF, LISTED
from schemas.product import EconomicProduct
from worker.entities import ENTITIES, PRODUCTS
from worker.handlers.importing.order import ENTITY_OF, ORDER, STAGES, STAGES_OF_CHANGES
from worker.handlers.importing.stages import STAGE_STEPS
from worker.store.tables import CUSTOMERS, Table
from worker.web.console import imports


def test_names_of_one_and_of_all_go_together() -> None:
    assert [LIST_OF[kind] for kind in KINDS] == list(IMPORTABLE)
    assert tuple(ENTITIES) == LISTED
    assert {LIST_OF[entity.kind]: name for name, entity in ENTITIES.items()} == {name: name for name in LISTED}
    assert (LIST_OF["product"], LIST_OF["customer"], LIST_OF["invoice"]) == ("products", "customers", "invoices")


def test_every_stage_has_a_step_an_entity_and_a_place() -> None:
    stages = {stage for table in (STAGES, STAGES_OF_CHANGES) for names in table.values() for stage in names}
    assert stages == set(STAGE_STEPS) == set(ENTITY_OF) == set(ORDER)
    assert stages <= set(imports.STAGES), "the page of an import has no word for a stage"
    assert ORDER.index("customers") < ORDER.index("drafts") < ORDER.index("booked") < ORDER.index("late_products")


def test_columns_follow_from_the_model() -> None:
    assert dict(PRODUCTS.table.columns)["price"] == "numeric"
    assert dict(PRODUCTS.table.columns)["finance_account"] == "int"
    assert CUSTOMERS.columns[0] == ("name", "text")
    assert "external_number" not in PRODUCTS.table.names


def test_model_that_no_table_can_hold_is_refused_by_name() -> None:
    class Odd(Strict):
        external_number: str
        barred: bool = False
        tags: tuple[str, ...] = ()

    class Bare(Strict):
        name: str

    with pytest.raises(TypeError, match=r"Odd\.tags: no column holds"):
        Table.of("product", Odd)
    with pytest.raises(TypeError, match="Bare has no barred and no external_number"):
        Table.of("product", Bare)


class Facts:
    base_currency = "DKK"

    async def unit_names(self) -> dict[int, str]:
        return {3: "time"}

    async def finance_account(self, product: EconomicProduct) -> int | None:
        return 1010


async def test_products_are_mapped_with_what_the_agreement_knows() -> None:
    product: dict[str, Any] = {"productNumber": "7", "name": "Hour", "salesPrice": "9.5", "unit": {"unitNumber": 3}}
    (row,) = await PRODUCTS.rows([EconomicProduct.model_validate(product)], Facts())
    assert (row.unit, row.currency, row.finance_account, row.price) == ("time", "DKK", 1010, Decimal("9.50"))


async def test_kind_with_steps_of_its_own_cannot_be_mapped_as_a_plain_list() -> None:
    with pytest.raises(RuntimeError, match="customers have steps of their own"):
        await ENTITIES["customers"].rows([], Facts())
