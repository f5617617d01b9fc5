"""One visitor's conversation: picture, question, answer, masks, and what of it is kept."""
