"""The demo: a private stack, and the story that ``make demo`` tells on it, with a proof for every claim."""
