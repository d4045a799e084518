# `cilium bpf ipcache`, as far as operations need it: what WireGuard's peers have as allowed IPs, and the lab's redirects
# for single addresses, which come and go with their entries. Read by agent_tools.sh.

ipcache() {
    gone=$TMPDIR/ipcache-$(echo "$2" | tr / _)
    case $1 in
    list) ipcache_list;;
    delete) ipcache_delete "$2";;
    update) ipcache_update;;
    *) echo "Error: unknown command $*" >&2; return 1;;
    esac
}

ipcache_list() {
    wg show "$DEVICE" dump | awk -v FS="\t" -v gone="$(ls "$TMPDIR" | tr '\n' ' ')" '
        NR > 1 && $4 != "(none)" {
            end = $3; sub(/:[0-9]+$/, "", end)
            count = split($4, prefixes, ",")
            for (i = 1; i <= count; i++) {
                file = "ipcache-" prefixes[i]; sub("/", "_", file)
                if (index(gone, file " ")) continue
                value = "identity=4711 encryptkey=255 tunnelendpoint=" end " flags=hastunnel"
                printf "%s\n  \"%s\": [\"%s\"]", (n++ ? "," : "{"), prefixes[i], value
            }
        }
        END { print n ? "\n}" : "{}" }'
}

# Notes the redirects for the address, with what it takes to make them again, and removes them.
ipcache_delete() {
    if [ -e "$gone" ]; then echo "Error: unable to delete $1: key does not exist" >&2; return 1; fi
    address=$(printf '%02x%02x%02x%02x' $(echo "${1%/*}" | tr . ' '))
    for device in $(tc qdisc show | awk '$2 == "clsact" { print $5 }'); do
        tc filter show dev "$device" egress | awk -v device="$device" -v wanted="$address/ffffffff" '
            $1 == "filter" { pref = $5 }
            $1 == "match" && $4 == 12 { source = $2 }
            $1 == "match" && $4 == 16 && $2 == wanted { print device, pref, source, $2 }'
    done >"$gone"
    while read -r device pref _; do
        tc filter del dev "$device" egress pref "$pref"
    done <"$gone"
}

ipcache_update() {
    [ -e "$gone" ] || return 0
    while read -r device pref source target; do
        tc filter add dev "$device" egress pref "$pref" protocol ip u32 \
            match u32 "0x${source%/*}" "0x${source#*/}" at 12 match u32 "0x${target%/*}" 0xffffffff at 16 \
            action mirred egress redirect dev "$DEVICE"
    done <"$gone"
    rm -f "$gone"
}
