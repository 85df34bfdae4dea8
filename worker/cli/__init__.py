"""The command line: thin fronts over the same functions that everything else uses. Imports are late: help is fast."""
