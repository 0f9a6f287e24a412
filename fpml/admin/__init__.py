"""What keeps a project in order: datasets added, a person taken out, DVC's cache checked, and the doctor."""
