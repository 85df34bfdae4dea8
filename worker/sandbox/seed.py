"""Fills an agreement with invented Danish data, quirks included. Same seed, size and day give the same records.

The quirks are those seen in real agreements: missing fields, line breaks inside texts, text-only lines, credit
notes, part payments, renamed and deleted customers, odd product numbers, terms and layouts that are gone.
"""

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from worker.sandbox import names
from worker.sandbox.agreement import Agreement
from worker.sandbox.records import Contact, Customer, Product, SeedSize
from worker.sandbox.seed_documents import seed_booked, seed_drafts
from worker.sandbox.seed_registers import fill_registers

_LONG_NUMBERS = {7: 901_234_567, 13: 12_345_678}
"""The nth customer gets a long number, as integrations do that use a phone or CVR number."""


def seed_agreement(agreement: Agreement, size: SeedSize, seed: int) -> None:
    """Fill an empty agreement."""
    source = random.Random(f"{seed}:{agreement.number}")  # noqa: S311 - repeatable data, not secrets
    today = agreement.now().date()
    agreement.signup = date(today.year - 4, 1, 17)
    fill_registers(agreement, today)
    _seed_products(agreement, size.products, source, today)
    _seed_customers(agreement, size, source, today)
    gone = _seed_deleted_customer(agreement, today)
    seed_booked(agreement, size, source, today, gone)
    seed_drafts(agreement, size, source, today)
    _rename_some(agreement)


def _moment(source: random.Random, today: date) -> datetime:
    day = today - timedelta(days=source.randrange(2, 700))
    return datetime.combine(day, time(source.randrange(7, 18), source.randrange(60), source.randrange(60)), UTC)


def _seed_products(agreement: Agreement, count: int, source: random.Random, today: date) -> None:
    units = {unit.name: unit.number for unit in agreement.units}
    for index in range(count):
        name, unit, price, group = names.PRODUCTS[index % len(names.PRODUCTS)]
        odd = names.ODD_NUMBERS[index // 3] if index % 3 == 2 and index // 3 < len(names.ODD_NUMBERS) else None
        number = odd or str(index + 1)
        sales = Decimal(price) + index // len(names.PRODUCTS)
        product = Product(
            number,
            name if index < len(names.PRODUCTS) else f"{name} {index // len(names.PRODUCTS) + 1}",
            group,
            _moment(source, today).replace(second=0),
            description=f"{name}\r\nLeveres fra lager\tDK" if index % 4 == 1 else None,
            sales_price=sales,
            cost_price=(sales * Decimal("0.4")).quantize(Decimal("0.01")),
            recommended_price=sales,
            bar_code=f"57{source.randrange(10**11):011d}" if index % 5 == 0 else None,
            barred=index % 11 == 10,
            unit=units[unit] if index % 6 != 3 else None,
        )
        agreement.products.put(number, product)


def _seed_customers(agreement: Agreement, size: SeedSize, source: random.Random, today: date) -> None:
    for index in range(size.customers):
        number = _LONG_NUMBERS.get(index, index + 1)
        customer = _customer(number, index, source, today)
        agreement.customers.put(number, customer)
        wanted = int(size.contacts_per_customer)
        wanted += source.random() < size.contacts_per_customer - wanted
        for ui_number in range(1, wanted + 1):
            _seed_contact(agreement, customer, ui_number, source)


def _customer(number: int, index: int, source: random.Random, today: date) -> Customer:
    if index % 10 in (4, 8):
        name, post, city, country, currency, zone = names.FOREIGN[index // 4 % len(names.FOREIGN)]
        name = f"{name} {index}" if index >= 10 else name
    else:
        trade, place = source.choice(names.TRADES), source.choice(names.PLACES)
        name = f"{place} {trade} {names.FORMS[index % len(names.FORMS)]}".strip()
        post, city = names.CITIES[index % len(names.CITIES)]
        country, currency, zone = source.choice(("Danmark", "Denmark")), "DKK", 4 if index % 17 == 16 else 1
    customer = Customer(number, name, currency, 2 if zone in (2, 3) else 1, index % 3 + 1, zone, _moment(source, today))
    customer.address = f"{source.choice(names.STREETS)} {source.randrange(1, 90)}"
    if index % 9 == 5:
        customer.address = f"c/o Rørbæk\r{customer.address}\n2. tv."
    customer.zip, customer.city, customer.country = post, city, country
    if index % 5 != 3:
        customer.email = f"faktura{number}@kunde.example"
    if index % 12 == 6:
        customer.email = f"faktura{number}@kunde.example bogholderi{number}@kunde.example"
    if index % 7 == 2:
        customer.zip = customer.city = customer.country = None
    if zone in (1, 4) and index % 4:
        digits = f"{source.randrange(10_000_000, 99_999_999)}"
        customer.cvr = f"DK{digits}" if index % 3 == 0 else digits
    customer.phone = f"+45 {source.randrange(20_000_000, 99_999_999)}" if index % 2 else None
    customer.ean = f"579{source.randrange(10**10):010d}" if index % 15 == 9 else None
    customer.barred = index % 13 == 12
    customer.layout = 19 if index % 3 == 0 else None
    customer.sales_person = 1 if index % 4 == 0 else None
    return customer


def _seed_contact(agreement: Agreement, customer: Customer, ui_number: int, source: random.Random) -> None:
    number = len(agreement.contacts) + 1
    name = f"{source.choice(names.FIRST)} {source.choice(names.LAST)}" if number % 9 else source.choice(names.FIRST)
    contact = Contact(number, customer.number, ui_number, name, customer.last_updated)
    if number % 3:
        contact.email = f"kontakt{number}@kunde.example"
        contact.phone = f"+45 {source.randrange(20_000_000, 99_999_999)}"
    contact.notifications = ("invoices",) if number % 4 == 0 else ()
    agreement.contacts.put(number, contact)
    agreement.contacts_of[customer.number].append(number)
    if ui_number == 1 and number % 2:
        customer.contact = ui_number
        customer.attention = ui_number if number % 4 == 1 else None


def _seed_deleted_customer(agreement: Agreement, today: date) -> Customer | None:
    """Return a customer that only old invoices remember."""
    if not agreement.customers:
        return None
    stamp = datetime.combine(today - timedelta(days=690), time(9), UTC)
    gone = Customer(len(agreement.customers) + 1000, "Ophørt Handel v/Åse Bæk", "DKK", 1, 1, 1, stamp)
    gone.address, gone.zip, gone.city, gone.country = "Gågaden 1", "5970", "Ærøskøbing", "Danmark"
    return gone


def _rename_some(agreement: Agreement) -> None:
    """Rename a few customers after their invoices were made, so that the recipients differ."""
    for index, customer in enumerate(agreement.customers):
        if index % 14 == 1:
            customer.name = f"{customer.name} (nu Nordvest Gruppen)"
