"""Pages for people: connecting an agreement, signing in. What every page and answer must obey is in ``hardening``."""
