"""The Kubernetes API, as far as this package needs it: one client, its objects, and an exec."""
