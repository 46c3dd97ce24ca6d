"""Where the curves of trainings go besides the run folder: a file for each kind of tracker."""
