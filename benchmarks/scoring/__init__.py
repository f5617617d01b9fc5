"""Records of answers, and scores with intervals from them."""
