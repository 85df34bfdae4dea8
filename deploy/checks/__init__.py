"""Everything about deploy/ that can be checked without a Docker engine or a cluster: ``make deploy-check``."""
