"""What a cluster shows: pure parsers from command output and API objects to the model. They do no I/O.

Whatever they are given, they return a value or raise `ObservationError`; output that is cut off or of another kind
never becomes an empty observation.
"""
