"""Public keys whose private keys everybody knows, so that everybody can read and send what they protect."""

from __future__ import annotations

from collections.abc import Mapping

KNOWN_PRIVATE_KEYS: Mapping[str, str] = {
    "L+V9o0fNYkMVKNqsX7spBzD/9oSvxM/C7ZCZX1jLO3Q=": "all zeros",
    "hHwNLDdSNPNl5mCVUYejc1oPdhPRYJ06ak2MU66qWiI=": "all ones",
    "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=": "the example of WireGuard's documentation",
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=": "the example of RFC 7748, section 6.1",
}
"""Public key → what its private key is. Zeros and clamped zeros have the same; a test derives each."""
