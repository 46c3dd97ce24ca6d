"""From the clients' predictions to one target for each pixel: one file for each rule."""
