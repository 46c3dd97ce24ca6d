"""What stands where in a street.

A street is built straight, along +y with the camera near (`camera_x`, 0), and bent last.
"""
