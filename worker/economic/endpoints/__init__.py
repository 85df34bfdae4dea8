"""The calls we make, in business words. Legacy REST throughout, but for what only the OpenAPI services give in bulk:
contacts of all customers, lines of many invoices, and webhooks.
"""

from worker.economic.endpoints.booked import BookedCalls
from worker.economic.endpoints.by_number import ByNumberCalls
from worker.economic.endpoints.customers import CustomerCalls
from worker.economic.endpoints.drafts import DraftCalls
from worker.economic.endpoints.products import ProductCalls
from worker.economic.endpoints.registers import RegisterCalls
from worker.economic.endpoints.webhooks import WebhookCalls


class EconomicApi(CustomerCalls, ProductCalls, DraftCalls, BookedCalls, RegisterCalls, WebhookCalls, ByNumberCalls):
    """One agreement's calls. Errors are those of ``worker.errors``; ``find_…`` returns ``None`` where nothing is.

    ``…_pages`` are async iterators of pages in the order of the records' numbers, and resumable. Bodies of writes are
    bytes: the caller has stored them and their idempotency key before. Nothing is cached.
    """


__all__ = ["EconomicApi"]
