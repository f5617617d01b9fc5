"""Records of answers, and their scores with intervals."""
