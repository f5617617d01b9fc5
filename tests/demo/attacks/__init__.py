"""What a stranger may try on the page, each with what has to happen. Everything runs on loopback."""
