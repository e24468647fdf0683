"""Training code of the studies: each takes and returns plain numbers, or small records of them."""
