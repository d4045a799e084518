"""What a node of the lab has dropped, as Cilium would count it."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.fragments import TABLE
from pytest_ciliumwg.providers.lab.strict_mode import STRICT_PREFERENCE

DROPS = f"""
nft list ruleset 2>/dev/null | awk -v own={TABLE} '
    $1 == "table" {{ mine = ($3 == own) }}
    /"lxc/ && / drop/ && !mine {{
        if (match($0, /packets [0-9]+/)) counted += substr($0, RSTART + 8, RLENGTH - 8); else all = 1
    }}
    END {{ printf "%d %d\\n", counted, all }}' | {{
    read -r counted all
    # A rule that counts nothing: all that pods have sent is what it can have dropped.
    [ "$all" = 0 ] || counted=$(awk '$1 ~ /^lxc/ {{ sum += $3 }} END {{ print sum + 0 }}' /proc/net/dev)
    echo "$counted"
}}
for device in $(tc qdisc show | awk '$2 == "clsact" {{ print $5 }}'); do
    tc -s filter show dev "$device" egress pref {STRICT_PREFERENCE}
done | awk '$1 == "Sent" {{ sum += $4 }} END {{ print sum + 0 }}'
"""
"""Prints what nftables rules for pods' devices have dropped, the lab's own left out, and what the strict mode has."""
