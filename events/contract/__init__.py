"""The contract for every language: JSON Schemas and an AsyncAPI 3 document, made from the event models.

``schemas`` makes them, ``document`` puts them into AsyncAPI, ``compatibility`` compares two releases of them, and
``python -m events.contract`` writes the files or checks that they are current. Nothing here is needed to run.
"""
