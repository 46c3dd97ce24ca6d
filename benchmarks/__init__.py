"""Scripts that measure fedseg, and the rendered worlds that they measure it on."""
