"""Personal data: where it lies, giving it out, and erasing it, for a customer or a whole workspace."""
