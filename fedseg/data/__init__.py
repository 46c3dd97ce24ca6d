"""Datasets: what a card says of one, reading it, sampling from it, augmenting it."""
