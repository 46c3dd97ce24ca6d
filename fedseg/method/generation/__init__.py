"""More images of the classes that the clients disagree on: one file for each generator."""
