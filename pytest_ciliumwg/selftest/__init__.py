"""The suite proves itself: every fault of the lab's catalogue, found by the check that has to find it."""
