"""What went wrong, in words a person can act on. The same shape in events, rows and answers."""

from enum import StrEnum

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from schemas.base import Strict, Tolerant


class Cause(StrEnum):
    """Closed set of reasons. Dead letters are grouped by it; a new reason is a new member, never a new text."""

    # the message itself
    MALFORMED_EVENT = "malformed_event"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    MISSING_WORKSPACE = "missing_workspace"
    EVENT_TOO_LARGE = "event_too_large"
    EVENT_TOO_DEEP = "event_too_deep"
    CONFLICTING_EVENT = "conflicting_event"
    # the workspace and its agreement
    NOT_CONNECTED = "not_connected"
    GRANT_REVOKED = "grant_revoked"
    ACCESS_DENIED = "access_denied"
    MODULE_MISSING = "module_missing"
    # what e-conomic or we cannot accept
    PRODUCT_BARRED = "product_barred"
    PRODUCT_NOT_LINKED = "product_not_linked"
    PERIOD_BARRED = "period_barred"
    ACCOUNT_UNUSABLE = "account_unusable"
    PAYMENT_TERMS_UNUSABLE = "payment_terms_unusable"
    CURRENCY_UNUSABLE = "currency_unusable"
    CUSTOMER_DELETED = "customer_deleted"
    CUSTOMER_BARRED = "customer_barred"
    CUSTOMER_INCOMPLETE = "customer_incomplete"
    LINE_INCOMPLETE = "line_incomplete"
    TOO_MANY_DECIMALS = "too_many_decimals"
    TEXT_TOO_LONG = "text_too_long"
    INVALID_AMOUNTS = "invalid_amounts"
    INVALID_DATES = "invalid_dates"
    VAT_ZONE_UNUSABLE = "vat_zone_unusable"
    AMBIGUOUS_MATCH = "ambiguous_match"
    DRAFT_DELETED = "draft_deleted"
    NOT_FOUND = "not_found"
    LOCKED = "locked"
    INVOICE_CHANGED = "invoice_changed"
    IMPORT_INCOMPLETE = "import_incomplete"
    IMPORT_CANCELLED = "import_cancelled"
    REFUSED_BY_ECONOMIC = "refused_by_economic"
    INVALID_RECORD = "invalid_record"
    # trouble that passes
    ECONOMIC_UNAVAILABLE = "economic_unavailable"
    RATE_LIMITED = "rate_limited"
    OUTCOME_UNKNOWN = "outcome_unknown"
    # ours
    UNROUTABLE = "unroutable"
    KILLED_THE_PROCESS = "killed_the_process"
    INTERNAL_ERROR = "internal_error"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Tell readers that the set grows: a cause they do not know still has its sentence and its remedy."""
        return handler.resolve_ref_schema(handler(schema)) | {
            "description": "Why it failed. New causes may be added: for those, show `user_message` and `remedy`.",
            "x-extensible-enum": True,
        }


class EconomicDetail(Tolerant):
    """What e-conomic itself said, by code and property; its message is localised and therefore left out.

    ``log_id`` is e-conomic's own id of the failed call: its support asks for it.
    """

    error_code: str | None = None
    property: str | None = None
    log_id: str | None = None


class Problem(Strict):
    """A failure as help: what happened (``user_message``), who can fix it and how (``remedy``)."""

    cause: Cause
    user_message: str
    remedy: str
    fields: list[str] = Field(default_factory=list)
    economic: EconomicDetail | None = None
    final: bool = True
    """False while the worker still tries by itself, or a person is expected to release it."""
