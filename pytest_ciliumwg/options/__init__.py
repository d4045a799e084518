"""Every option once: what asks for the suite (`asked`), all others (`table`), and what was said of them (`resolve`)."""
