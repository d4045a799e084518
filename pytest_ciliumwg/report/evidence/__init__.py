"""Evidence: the frames of leaks, as capture files with a comment each, and decoded for a reader."""
