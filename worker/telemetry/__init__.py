"""How the worker tells what it does: logs now, metrics beside them."""
