"""Built-in choices beside the defaults, one file each. They use the seams of `fedseg.extend`.

Nothing imports them but `fedseg.registry`, when a configuration names one.
"""
