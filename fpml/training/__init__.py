"""What all tasks' trainings share."""
