"""What may be released: who made the evidence, on which rows, under which policy."""
