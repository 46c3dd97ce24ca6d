"""From a street to an image and its labels, with Mitsuba 3."""
