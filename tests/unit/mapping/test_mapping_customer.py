"""Customers: names, primary contact, e-mail, address, and what e-conomic takes when one is created (R15-R19)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mapping_factories import contact, economic_customer, local_customer, printable, recorded

from schemas.customer import EconomicCustomer
from schemas.problem import Cause
from worker.errors import Refused
from worker.mapping import texts
from worker.mapping.customer import CustomerDefaults, normalise_vat, split_name, to_economic, to_pike

DEFAULTS = CustomerDefaults(customer_group_number=1, payment_terms_number=2, vat_zone_number=1, currency="DKK")


@pytest.mark.requirement("R15", "R16")
def test_name_and_number_become_pikes() -> None:
    row = to_pike(economic_customer(name=" Nørre\r\nTømrer\tApS "))
    assert (row.external_number, row.name) == ("7", "Nørre Tømrer ApS")


def test_customer_without_a_name_is_called_by_its_number() -> None:
    assert to_pike(economic_customer(name="  ")).name == "Customer 7"


@pytest.mark.requirement("R17")
def test_primary_contact_is_the_customers_own_then_attention_then_the_first() -> None:
    people = [
        contact(1, "Anna Holm", sort_key=2),
        contact(2, "Bo Lind"),
        contact(3, "Carl Emil Dam", sort_key=1),
        contact(4, "Dorte Ek", sort_key=0, deleted=True),
        contact(5, "Somebody Else", customer_number=8, sort_key=0),
    ]
    both = {"customer_contact": {"customer_contact_number": 2}, "attention": {"customer_contact_number": 1}}
    assert to_pike(economic_customer(**both), people).primary_contact_full_name == "Bo Lind"
    gone = both | {"customer_contact": {"customer_contact_number": 4}}
    assert to_pike(economic_customer(**gone), people).primary_contact_full_name == "Anna Holm"
    row = to_pike(economic_customer(), people)
    assert (row.primary_contact_first_name, row.primary_contact_last_name) == ("Carl Emil", "Dam")


@pytest.mark.requirement("R17")
def test_contacts_without_sort_keys_are_taken_by_number() -> None:
    assert to_pike(economic_customer(), [contact(9, "B B"), contact(3, "A A")]).primary_contact_full_name == "A A"


@pytest.mark.requirement("R19")
def test_without_a_contact_an_unnamed_one_carries_mail_and_address() -> None:
    row = to_pike(economic_customer(email="a@x.example", address="Østergade 12"))
    assert row.primary_contact_full_name is row.primary_contact_first_name is row.primary_contact_last_name is None
    assert (row.primary_contact_email, row.primary_contact_address) == ("a@x.example", "Østergade 12")


@pytest.mark.requirement("R18")
@pytest.mark.parametrize(
    ("own", "of_contact", "expected"),
    [
        ("a@x.example b@x.example", "c@x.example", "a@x.example"),
        ("a@x.example;b@x.example", None, "a@x.example"),
        ("Bogholderi <a@x.example>", None, "a@x.example"),
        (None, "c@x.example", "c@x.example"),
        ("none", "c@x.example", "c@x.example"),
        ("none", None, "none"),
        (" ", None, None),
    ],
)
def test_mail_is_the_customers_first_address_else_the_contacts(
    own: str | None, of_contact: str | None, expected: str | None
) -> None:
    row = to_pike(economic_customer(email=own), [contact(1, email=of_contact)])
    assert row.primary_contact_email == expected


@pytest.mark.requirement("R19")
def test_address_keeps_its_lines_whatever_their_breaks() -> None:
    row = to_pike(economic_customer(address="Att. Bo\rVirksomhedsvej 58\r\n2. sal \n\tbag\x00gården\n"))
    assert row.address == row.primary_contact_address == "Att. Bo\nVirksomhedsvej 58\n2. sal\n baggården"


def test_vat_number_is_either_of_the_two_fields() -> None:
    assert to_pike(economic_customer(corporate_identification_number="12345674")).vat_number == "12345674"
    both = economic_customer(corporate_identification_number="12345674", vat_number="DK87654321")
    assert to_pike(both).vat_number == "DK87654321"


def test_recorded_customers_become_rows() -> None:
    rows = [to_pike(EconomicCustomer.model_validate(entry)) for entry in recorded("customers")["collection"]]
    assert rows[0].model_dump(include={"external_number", "name", "city", "primary_contact_email", "barred"}) == {
        "external_number": "1",
        "name": "Demo customer 1",
        "city": "Brussels",
        "primary_contact_email": "billing@example.test",
        "barred": False,
    }
    assert len({row.external_number for row in rows}) == len(rows)


@pytest.mark.requirement("R17")
@pytest.mark.parametrize(
    ("full", "parts"),
    [
        ("Anna Marie Holm", ("Anna Marie", "Holm")),
        ("Madonna", ("Madonna", None)),
        ("", (None, None)),
        ("  Bo  Lind ", ("Bo", "Lind")),
    ],
)
def test_names_are_split_on_the_last_space(full: str, parts: tuple[str | None, str | None]) -> None:
    assert split_name(full) == parts


@pytest.mark.requirement("R17")
@given(printable)
def test_split_name_rejoins_to_the_original(name: str) -> None:
    full = texts.line(name)
    row = to_pike(economic_customer(), [contact(1, name)])
    assert row.primary_contact_full_name == full
    parts = [row.primary_contact_first_name, row.primary_contact_last_name]
    assert (" ".join(part for part in parts if part) or None) == full
    assert row.primary_contact_last_name is None or " " not in row.primary_contact_last_name


@given(st.text(max_size=80))
@example("\ud800\x00")
def test_cleaned_texts_can_be_stored_and_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (texts.line, texts.block):
        once = clean(text)
        assert clean(once) == once
        assert once is None or (once.strip() == once and once.encode() and "\x00" not in once and "\r" not in once)


# --- created in e-conomic ------------------------------------------------------------------------------


@given(
    name=printable.filter(lambda text: texts.line(text) is not None),
    address=st.none() | printable,
    zip_code=st.none() | printable.map(lambda text: text[:30]),
    city=st.none() | printable.map(lambda text: text[:50]),
    country=st.none() | printable.map(lambda text: text[:50]),
    vat=st.none() | printable.map(lambda text: text[:40]),
)
def test_a_customer_sent_to_economic_comes_back_the_same(
    name: str, address: str | None, zip_code: str | None, city: str | None, country: str | None, vat: str | None
) -> None:
    local = local_customer(
        name=name,
        email="a@x.example",
        address=address,
        zip=zip_code,
        city=city,
        country=country,
        vat_number=vat,
        currency="EUR",
    )
    sent = to_economic(local, DEFAULTS).model_dump(by_alias=True, exclude_none=True)
    row = to_pike(EconomicCustomer.model_validate(sent | {"customerNumber": 12}))
    assert (row.name, row.address) == (texts.line(name), texts.block(address))
    assert (row.zip, row.city, row.country) == (texts.line(zip_code), texts.line(city), texts.line(country))
    assert (row.vat_number, row.currency, row.primary_contact_email) == (texts.line(vat), "EUR", "a@x.example")


def test_a_new_customer_gets_the_connections_defaults_and_no_nulls() -> None:
    assert to_economic(local_customer(), DEFAULTS).model_dump(by_alias=True, exclude_none=True) == {
        "name": "Nørre Tømrer ApS",
        "currency": "DKK",
        "customerGroup": {"customerGroupNumber": 1},
        "paymentTerms": {"paymentTermsNumber": 2},
        "vatZone": {"vatZoneNumber": 1},
    }


@pytest.mark.requirement("F9")
@pytest.mark.parametrize(
    ("field", "limit"),
    [("name", 255), ("address", 510), ("zip", 30), ("city", 50), ("country", 50), ("email", 255), ("vat_number", 40)],
)
def test_text_of_the_limit_is_sent_and_one_more_is_refused_with_a_counter(field: str, limit: int) -> None:
    assert "x" * limit in to_economic(local_customer(**{field: "x" * limit}), DEFAULTS).model_dump().values()
    with pytest.raises(Refused) as caught:
        to_economic(local_customer(**{field: "x" * (limit + 1)}), DEFAULTS)
    problem = caught.value.problem
    assert problem.cause is Cause.TEXT_TOO_LONG
    assert f"{limit + 1} characters" in problem.user_message
    assert str(limit) in problem.user_message
    assert problem.fields == [f"customer.{field}"]


@pytest.mark.requirement("F9")
def test_all_long_texts_are_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        to_economic(local_customer(zip="x" * 31, city="x" * 51), DEFAULTS)
    assert caught.value.problem.fields == ["customer.zip", "customer.city"]


def test_customer_without_a_name_is_not_sent() -> None:
    with pytest.raises(Refused) as caught:
        to_economic(local_customer(name=" "), DEFAULTS)
    assert caught.value.problem.cause is Cause.CUSTOMER_INCOMPLETE


@pytest.mark.requirement("B11")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DK-12 34 56 74", "12345674"),
        ("dk12345674", "12345674"),
        ("CVR-nr. 12.34.56.74", "12345674"),
        ("CVR DK12345674", "12345674"),
        ("SE556677889901", "SE556677889901"),
        ("DKSOMETHING1", "DKSOMETHING1"),
        ("00000000", ""),
        (" - ", ""),
        (None, ""),
    ],
)
def test_vat_numbers_are_compared_without_their_decoration(text: str | None, expected: str) -> None:
    assert normalise_vat(text) == expected
