"""*Import data*: read products, customers and invoices from e-conomic page by page, resumable after every page."""

from worker.handlers.importing.handler import continue_import, continue_sync, fail_import, start_import, start_sync

__all__ = ["continue_import", "continue_sync", "fail_import", "start_import", "start_sync"]
