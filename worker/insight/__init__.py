"""What operators are told, as plain data: the operations room, what in it needs somebody, the story of one event."""
