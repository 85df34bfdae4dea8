"""What the metrics cost."""
