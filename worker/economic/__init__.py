"""Visma e-conomic: one HTTP client, its calls in business words, its errors in words for people."""
