"""The rendered worlds of the benchmark: procedural, path-traced streets with exact labels.

Eight worlds; an image depends on its world and its number alone. From the inside out:

- `mesh`, `shapes`, `labels`, `chance`: triangles with labels, and numbers from a generator
- `textures/`: every bitmap, drawn by program
- `objects/`: one thing of a street each, at the origin
- `worlds`: in what the worlds differ
- `street/`: what stands where
- `rendering/`: sky, light, camera and labels, with Mitsuba 3
- `__main__`: the commands; see `python -m rendered --help`
"""
