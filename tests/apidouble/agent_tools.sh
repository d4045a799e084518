#!/bin/sh
# What the Cilium agent's container offers on its PATH, told from the real state of the network namespace it runs in:
# the sandbox has it under the names `cilium` or `cilium-dbg` and `bpftool`. A shell, for it runs hundreds of times.
DEVICE=cilium_wg0

# WireGuard as `debuginfo` tells it. The first line of the dump is the device's; it has the private key, which stays here.
WIREGUARD='
BEGIN { FS = "\t" }
NR == 1 { public = $2; port = $3; next }
{
    shaken = $5 ? strftime("%Y-%m-%dT%H:%M:%S.000Z", $5, 1) : "0001-01-01T00:00:00.000Z"
    allowed = "null"
    if ($4 != "(none)") { allowed = $4; gsub(",", "\", \"", allowed); allowed = "[\"" allowed "\"]" }
    peer = sprintf("{\"public-key\": \"%s\", \"endpoint\": \"%s\", \"last-handshake-time\": \"%s\"", $1, $3, shaken)
    peer = peer ", \"allowed-ips\": " allowed
    # Go leaves zeros out.
    if ($6) peer = peer ", \"transfer-rx\": " $6
    if ($7) peer = peer ", \"transfer-tx\": " $7
    peers = peers (count++ ? ", " : "") peer "}"
}
END {
    printf "{\"wireguard\": {\"interfaces\": [{\"name\": \"%s\", \"public-key\": \"%s\", ", device, public
    printf "\"listen-port\": %d, \"peer-count\": %d, \"peers\": [%s]}]%s}}", port, count, peers, more
}
'

encryption() {
    if ! dump=$(wg show "$DEVICE" dump 2>/dev/null); then echo '{}'; return; fi
    minor=${CILIUM_VERSION#*.}
    more=
    if [ "${minor%%[!0-9]*}" -ge 14 ]; then more=', "node-encryption": "Disabled"'; fi
    echo "$dump" | awk -v device="$DEVICE" -v more="$more" "$WIREGUARD"
}

# The devices that Cilium takes for its own: those that `devices` names, else those that are up and have addresses, but
# its own and pods'.
selected() {
    named=$(echo "$CILIUM_SETTINGS" | sed -n 's/.*"devices:\([^"]*\)".*/\1/p' | tr ',' ' ')
    ip -o addr show scope global up | awk -v named="$named" '
        BEGIN { split(named, wanted); for (i in wanted) names[wanted[i]] }
        (named ? $2 in names : $2 !~ /^(lo|cilium_|lxc)/) && !seen[$2]++ { printf "%s\"%s\"", more, $2; more = ", " }'
}

cilium() {
    case $* in
    "version -o json")
        one="{\"Version\": \"$CILIUM_VERSION\", \"Revision\": \"0123456789\""
        one="$one, \"GoRuntimeVersion\": \"go1.21.13\", \"Arch\": \"linux/amd64\"}"
        echo "{\"Client\": $one, \"Daemon\": $one}";;
    "bpf metrics list --output json")
        set -- $(sh "${0%/*/*}/drops.sh")
        echo "[{\"reason\": \"Success\", \"direction\": \"egress\", \"packets\": 9, \"bytes\": 900},"
        echo " {\"reason\": \"Policy denied\", \"direction\": \"egress\", \"packets\": $1, \"bytes\": 0},"
        echo " {\"reason\": \"Traffic is unencrypted\", \"direction\": \"egress\", \"packets\": $2, \"bytes\": 0}]";;
    "bpf ipcache "*)
        shift 2; . "${0%/*/*}/ipcache.sh"; ipcache "$@";;
    "debuginfo --output json")
        status="{\"host-firewall\": {\"mode\": \"Disabled\", \"devices\": [$(selected)]}}"
        echo "{\"cilium-version\": \"$CILIUM_VERSION 0123456789\", \"cilium-status\": $status, \"policy\": {},"
        echo " \"encryption\": $(encryption), \"environment-variables\": $CILIUM_SETTINGS}";;
    "node list -o json")
        if [ -z "$CILIUM_NODES" ]; then echo "Error: unknown command $*" >&2; exit 1; fi
        echo "$CILIUM_NODES";;
    *)
        echo "Error: unknown command $*" >&2; exit 1;;
    esac
}

# The lab's tc action stands for Cilium's program; only a device with `clsact` can have one.
bpftool() {
    if [ "$*" != "-j net show" ]; then echo "Error: $*" >&2; exit 1; fi
    programs= number=0
    for device in $(tc qdisc show | awk '$2 == "clsact" { print $5 }'); do
        number=$((number + 1))
        case $(tc filter show dev "$device" egress) in *"Redirect to device $DEVICE"*)
            place="\"devname\": \"$device\", \"ifindex\": $number, \"kind\": \"clsact/egress\""
            programs="$programs${programs:+, }{$place, \"name\": \"cil_to_netdev-$device\", \"id\": $number}";;
        esac
    done
    echo "[{\"xdp\": [], \"tc\": [$programs], \"flow_dissector\": []}]"
}

case ${0##*/} in bpftool) bpftool "$@";; *) cilium "$@";; esac
