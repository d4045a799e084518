"""Which flows a watch sends: who talks to whom, by which protocol and how much."""
