"""Webhooks (B10): keeping ours in e-conomic, and reading again what they hinted at."""

from worker.handlers.hooks.keeping import KeepHooks, remove_hooks
from worker.handlers.hooks.reading import ReadHints, give_up_hints

__all__ = ["KeepHooks", "ReadHints", "give_up_hints", "remove_hooks"]
