"""Watch native devices: rings, frames, sightings, WireGuard's messages, the kernel's changes."""
