"""The continuous watch: flows and captures that go on while the cluster changes, and the timeline that comes of it."""
