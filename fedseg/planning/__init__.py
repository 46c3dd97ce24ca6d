"""What a run will take, and whether it can: checks, estimate, disk and progress."""
