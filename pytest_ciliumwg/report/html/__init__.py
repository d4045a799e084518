"""report.html: the run for people, made from the fields of report.json alone."""
