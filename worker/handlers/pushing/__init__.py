"""``pike.invoice.created``: an invoice made in Pike becomes a draft in e-conomic, at most once (R3, B1)."""

from worker.handlers.pushing.handler import PushInvoice, fail_push

__all__ = ["PushInvoice", "fail_push"]
