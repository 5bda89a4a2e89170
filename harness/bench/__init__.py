"""`make bench`: what the product costs, counted to the instruction, beside its peers."""
