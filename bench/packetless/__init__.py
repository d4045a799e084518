"""A cluster in which no packet is sent: what stands behind an API server computes all its answers.

So the cost of a run is its controller's own: planning, asking, judging, explaining and reporting, with answers of the
size and shape of those of a real cluster. `server` is a process of its own, so that its cost is not counted.
"""
