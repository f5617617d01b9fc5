"""One visitor's conversation: picture, question, answer, masks, and how long they are kept."""
