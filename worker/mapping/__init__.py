"""Pure functions between the two sides: ``to_pike``, ``to_economic``, matching, tax rules. No I/O, no clock."""
