"""*Import data*: read products, customers and invoices from e-conomic page by page, resumable after every page."""

from worker.handlers.importing.handler import continue_import, fail_import, start_import

__all__ = ["continue_import", "fail_import", "start_import"]
