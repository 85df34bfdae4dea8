"""Shapes of both sides, Pike and e-conomic, without any behaviour that touches the outside."""
