"""What there is: frozen values for the things of Kubernetes, Cilium, WireGuard and a watch. No I/O, no versions."""
