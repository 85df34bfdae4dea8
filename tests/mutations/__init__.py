"""Guards against loss and doubles, removed one at a time in a copy: a test must notice each."""
