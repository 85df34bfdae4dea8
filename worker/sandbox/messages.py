"""The texts of validation errors in the agreement's language. Only ``errorMessage`` is localised (seen live)."""

from worker.sandbox.agreement import Language

_TEXTS: dict[str, tuple[str, str]] = {
    "not_found": ("{thing} '{key}' not found.", "{thing} '{key}' blev ikke fundet."),
    "product_barred": ("Product '{key}' is barred.", "Varen '{key}' er spærret."),
    "customer_barred": ("Customer '{key}' is barred.", "Kunden '{key}' er spærret."),
    "period_barred": ("The period is barred.", "Perioden er spærret."),
    "account_unusable": ("Account '{key}' is missing or barred.", "Kontoen '{key}' mangler eller er spærret."),
    "terms_type": (
        "Payment terms type does not match the type on the payment terms specified.",
        "Betalingsbetingelsens type passer ikke til den angivne betalingsbetingelse.",
    ),
    "due_date_missing": (
        "Due date must be specified when using payment terms of type 'dueDate'.",
        "Forfaldsdato skal angives ved betalingsbetingelser af typen 'dueDate'.",
    ),
    "due_date_early": ("Due date must not be before the date.", "Forfaldsdatoen må ikke ligge før datoen."),
    "quantity_missing": (
        "Quantity must be specified when product is set.",
        "Antal skal angives, når der er valgt en vare.",
    ),
    "product_missing": (
        "A product must be specified before quantity and price.",
        "Der skal vælges en vare før antal og pris.",
    ),
    "description_missing": (
        "Description must be specified when product is set.",
        "Beskrivelse skal angives, når der er valgt en vare.",
    ),
    "contact_foreign": (
        "Customer contact '{key}' does not belong to the customer.",
        "Kontaktpersonen '{key}' hører ikke til kunden.",
    ),
    "nothing_to_book": (
        "An invoice without a product line cannot be booked.",
        "En faktura uden en varelinje kan ikke bogføres.",
    ),
    "number_taken": ("Number '{key}' is already in use.", "Nummeret '{key}' er allerede i brug."),
    "in_use": ("'{key}' is in use and cannot be deleted.", "'{key}' er i brug og kan ikke slettes."),
}


def say(language: Language, name: str, **facts: object) -> str:
    """Return a text in the agreement's language."""
    english, danish = _TEXTS[name]
    return (danish if language == "da" else english).format(**facts)
