"""Things that stand or move in a street.

Each function draws into a `Mesh` at its present place: the origin is on the ground, y is forward.
"""
