"""Which customer of e-conomic an invoice is for: the linked one, one that fits, or a new one (R6)."""

from schemas.customer import EconomicCustomer, LocalCustomer
from schemas.problem import Cause
from worker.errors import Refused, refused
from worker.handlers.pushing.ledger import Write, write_once
from worker.mapping import customer as customer_mapping
from worker.mapping import matching
from worker.mapping.body import to_json
from worker.run import Run
from worker.store import effects


async def customer_in_economic(run: Run, local: LocalCustomer) -> EconomicCustomer:
    """Return e-conomic's customer. Raises ``Refused`` when it was deleted there or several fit: nobody guesses."""
    api = run.need_api()
    if local.external_number is not None:
        linked = await api.find_customer(int(local.external_number))
        if linked is None:
            raise _deleted(local)
        return linked
    found = await _search(run, local)
    return found if found is not None else await _create(run, local)


async def _search(run: Run, local: LocalCustomer) -> EconomicCustomer | None:
    """Look by VAT number, then e-mail, then name; the first key that finds anybody decides."""
    api = run.need_api()
    for key in ({"vat_number": local.vat_number}, {"email": local.email}, {"name": local.name}):
        if not all(key.values()):
            continue
        found = matching.find_in_economic(local, await api.search_customers(**key))
        if found.ambiguous:
            raise _several(local, found)
        if found.customer is not None:
            return found.customer
    return None


async def _create(run: Run, local: LocalCustomer) -> EconomicCustomer:
    connection = run.need_connection()
    if connection.on_missing_customer == "halt":
        raise refused(
            Cause.CUSTOMER_DELETED,
            f"{local.name} does not exist in e-conomic, and this connection does not create customers.",
            "Create the customer in e-conomic, or allow Pike to create customers in the connection's settings.",
            fields=["customer_id"],
        )
    defaults = connection.defaults
    body = customer_mapping.to_economic(
        local,
        customer_mapping.CustomerDefaults(
            customer_group_number=_need(defaults.get("customer_group"), "a customer group"),
            payment_terms_number=_need(defaults.get("payment_terms"), "payment terms"),
            vat_zone_number=_need(defaults.get("vat_zone"), "a VAT zone"),
            currency=connection.base_currency,
        ),
    )
    async with run.read() as reading:
        known = await effects.find_all(reading, connection.agreement_number, local.id)
    api = run.need_api()
    made = known.get("customer")
    if made is not None and made.state == "done" and made.external_number:
        there = await api.find_customer(int(made.external_number))
        if there is None:
            raise _deleted(local.model_copy(update={"external_number": made.external_number}))
        return there
    return await write_once(
        run,
        Write(
            step="customer",
            subject_id=local.id,
            reference=f"customer {local.id}",
            body=to_json(body),
            send=api.create_customer,
            look_up=lambda: _search(run, local),
            number_of=lambda made: str(made.customer_number),
        ),
        known.get("customer"),
    )


def _need(number: object, what: str) -> int:
    if not isinstance(number, int):
        raise refused(
            Cause.CUSTOMER_INCOMPLETE,
            f"The customer cannot be created in e-conomic: the connection has no default for {what}.",
            f"Create {what} in e-conomic and connect again, or create the customer there yourself.",
        )
    return number


def _deleted(local: LocalCustomer) -> Refused:
    return refused(
        Cause.CUSTOMER_DELETED,
        f"Customer {local.external_number} ({local.name}) no longer exists in e-conomic.",
        "Relink the customer in Pike to one that exists, or create it again in e-conomic, then send the invoice again.",
        fields=["customer_id"],
    )


def _several(local: LocalCustomer, found: matching.Found) -> Refused:
    what = {"vat_number": "VAT number", "email": "e-mail address", "name": "name"}[found.matched_by or "name"]
    candidates = ", ".join(f"{customer.customer_number} {customer.name}" for customer in found.candidates)
    return refused(
        Cause.AMBIGUOUS_MATCH,
        f"Several customers in e-conomic have the {what} of {local.name}: {candidates}.",
        "Merge them in e-conomic or link the right one in Pike, then send the invoice again.",
        fields=["customer_id"],
    )
