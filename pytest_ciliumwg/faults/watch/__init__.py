"""Faults of the measurement itself: captures that saw too little, clocks that are wrong."""
