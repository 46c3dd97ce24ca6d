"""What the Flower apps share: weights in messages, a run's settings, the simulation engine.

May import `participants` and what lies below it.
"""
