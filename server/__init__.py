"""The Flower ServerApp and its one-shot strategy."""
