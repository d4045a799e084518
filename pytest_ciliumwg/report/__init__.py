"""What a run leaves behind: the terminal's summary, report.json."""
