"""Bitmaps drawn by program: sRGB albedo, float in [0, 1] while drawn, uint8 when done."""
