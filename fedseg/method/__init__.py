"""The method, a file or folder for each stage, in the order of docs/method.md.

May import `evaluation` and what lies below it; knows neither Flower nor the command line.
"""
