"""The small registers that every seeded agreement starts with: chart of accounts, VAT, terms, units and the like."""

from datetime import date
from decimal import Decimal

from worker.sandbox.agreement import Agreement
from worker.sandbox.lookups import (
    Account,
    AccountingYear,
    Currency,
    CustomerGroup,
    Named,
    ProductGroup,
    Terms,
    VatAccount,
    VatZone,
)

TWENTY_FIVE = Decimal("25.00000000")

_ACCOUNTS = [
    Account(1000, "RESULTATOPGØRELSE", "heading", "debit"),
    Account(1001, "Omsætning", "heading", "debit"),
    Account(1010, "Salg af varer m/moms", vat_code="U25"),
    Account(1020, "Salg af varer EU"),
    Account(1030, "Salg af varer udland"),
    Account(1050, "Salg af varer u/moms"),
    Account(1110, "Salg af ydelser m/moms", vat_code="U25"),
    Account(1120, "Salg af ydelser EU"),
    Account(1130, "Salg af ydelser udland"),
    Account(1150, "Salg af ydelser u/moms"),
    Account(1300, "Varekøb", debit_credit="debit", vat_code="I25"),
    Account(5600, "Samlekonto for debitorer", "status", "debit"),
    Account(5610, "Udenlandske debitorer", "status", "debit"),
    Account(7200, "Salgsmoms", "status"),
    Account(7210, "Købsmoms", "status", "debit"),
]
_VAT_ACCOUNTS = [
    VatAccount("U25", "Salgsmoms", TWENTY_FIVE, 7200, 1),
    VatAccount("I25", "Købsmoms", TWENTY_FIVE, 7210, 2),
    VatAccount("OBPK", "Omvendt betalingspligt", TWENTY_FIVE, 7210, 3),
    VatAccount("REP", "Repræsentation (udgået)", Decimal("6.25000000"), 7210, 2, barred=True),
]
_ZONE_NAMES = {
    "da": ("Indenlandsk", "EU", "Udlandet", "Indenlandsk uden moms"),
    "en": ("Domestic", "EU", "Abroad", "Domestic exempt VAT"),
}
_TERMS = [
    Terms(1, "Netto 8 dage", "net", 8),
    Terms(2, "Netto 14 dage", "net", 14, "Betales senest 14 dage efter fakturadato"),
    Terms(3, "Til omgående betaling", "net", 0),
    Terms(4, "Løbende måned 30 dage", "invoiceMonth", 30),
    Terms(5, "Netto 30 dage", "net", 30),
    Terms(7, "Aftalt forfaldsdato", "dueDate"),
    Terms(8, "Forudbetalt", "prepaid"),
    Terms(9, "Kontant", "paidInCash", 0),
]
OLD_TERMS = Terms(99, "Netto 21 dage (udgået)", "net", 21)
"""Terms that booked invoices still show although the register no longer has them."""
DELETED_LAYOUT = 16

_GROUPS = [
    ProductGroup(1, "Varer m/moms", {1: 1010, 2: 1020, 3: 1030, 4: 1050}),
    ProductGroup(2, "Varer u/moms", {1: 1050, 2: 1020, 3: 1030, 4: 1050}),
    ProductGroup(3, "Ydelser m/moms", {1: 1110, 2: 1120, 3: 1130, 4: 1150}),
    ProductGroup(4, "Ydelser u/moms", {1: 1150, 4: 1150}),
]
_CURRENCIES = [
    Currency("DKK", "Danske kroner", "208", Decimal("100.000000")),
    Currency("EUR", "Euro", "978", Decimal("746.050000")),
    Currency("NOK", "Norske kroner", "578", Decimal("63.870000")),
    Currency("SEK", "Svenske kroner", "752", Decimal("66.120000")),
]


def fill_registers(agreement: Agreement, today: date) -> None:
    """Put every look-up register into an empty agreement. Years run from four back to one ahead, old ones closed."""
    for account in _ACCOUNTS:
        agreement.accounts.put(account.number, account)
    for vat in _VAT_ACCOUNTS:
        agreement.vat_accounts.put(vat.code, vat)
    for number, name in enumerate(_ZONE_NAMES[agreement.language], 1):
        agreement.vat_zones.put(number, VatZone(number, name, for_supplier=number != 4))
    for terms in _TERMS:
        agreement.terms.put(terms.number, terms)
    for number, name in enumerate(("stk.", "Time", "km", "kg", "md."), 1):
        agreement.units.put(number, Named(number, name))
    for number, name in ((19, "DK. std. m. bankoplys. 1.5"), (20, "DK. std. m. girokort 1.5"), (21, "Eng. std.")):
        agreement.layouts.put(number, Named(number, name))
    for number, name in enumerate(("Ane Sælger", "Bo Bogholder"), 1):
        agreement.employees.put(number, Named(number, name, f"medarbejder{number}@sandkasse.example"))
    for group in (CustomerGroup(1, "Danske kunder", 5600), CustomerGroup(2, "Udenlandske kunder", 5610, 21)):
        agreement.customer_groups.put(group.number, group)
    for products in _GROUPS:
        agreement.product_groups.put(products.number, products)
    for currency in _CURRENCIES:
        agreement.currencies.put(currency.code, currency)
    for offset in range(-4, 2):
        year = today.year + offset
        agreement.years.put(
            str(year), AccountingYear(str(year), date(year, 1, 1), date(year, 12, 31), closed=offset < -1)
        )
