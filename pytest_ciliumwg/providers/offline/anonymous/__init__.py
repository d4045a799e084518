"""The record of a cluster with other names and addresses than it has: what judges and reports it knows no real one."""
