"""Changes of a cluster: which there are, what each does, what it may cost, and how it is done under a watch."""
