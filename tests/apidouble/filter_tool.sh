#!/bin/sh
# `iptables` and `ip6tables` for the agent's container, as far as this package uses them, done with nftables: the sandbox
# has it under both names. All else is refused, so that nothing is taken for done.
NAME=${0##*/} TABLE=iptables_double

refuse() { echo "$NAME: $*" >&2; exit 1; }

case $NAME in iptables) family=ip;; ip6tables) family=ip6;; *) refuse "it has another name";; esac
case "$1 $2" in "-w -C" | "-w -I" | "-w -D") ;; *) refuse "the double does not know $*";; esac
action=$2 chain=$3
shift 3
port=$4 comment=$8
[ $# -eq 10 ] && [ "$*" = "-p udp --dport $port -m comment --comment $comment -j DROP" ] ||
    refuse "the double does not know the rule $*"

if [ "$action" = -I ]; then
    nft add table "$family" "$TABLE"
    hook=$(echo "$chain" | tr '[:upper:]' '[:lower:]')
    nft add chain "$family" "$TABLE" "$chain" "{ type filter hook $hook priority filter; }"
    exec nft insert rule "$family" "$TABLE" "$chain" udp dport "$port" drop comment "\"$comment\""
fi
# A rule of ours has its whole text as its comment.
found=$(nft --handle list chain "$family" "$TABLE" "$chain" 2>/dev/null |
    awk -v comment="comment \"$comment\" # handle" 'index($0, comment) { print $NF; exit }')
[ -n "$found" ] || refuse "Bad rule (does a matching rule exist in that chain?)."
if [ "$action" = -D ]; then nft delete rule "$family" "$TABLE" "$chain" handle "$found"; fi
