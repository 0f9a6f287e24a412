"""What keeps a project in order: taking a person out, and DVC's cache checked. With fpml.cli the one place that calls DVC."""
