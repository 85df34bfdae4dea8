"""What operators and their tools reach over HTTP."""
