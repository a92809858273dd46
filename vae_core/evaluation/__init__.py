"""What is measured of a model: after every epoch, at the end, and as pictures."""
