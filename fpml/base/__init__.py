"""What everything stands on: errors, outputs that are whole or absent, processes, progress bars."""
