"""The life that every delivery shares: decode, claim, handle, judge, record; and the relay beside it."""
