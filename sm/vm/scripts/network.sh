# What start, doctor and rules share: the rule set of the container network, and the probe that proves it from inside.
# They read the variables RT, image and network; `network_facts` sets bridge, subnets, gateways, driver.
# The firewall sees nothing that stays on the VM, so nftables closes it: the VM itself, siblings, IPv6, foreign DNS.

rootless() { [ "${RT##*/}" = podman ] && [ "$(id -u)" != 0 ]; }
make_network() { # the command that makes the network; docker's bridge gets a name that outlives the network
  if [ "${RT##*/}" = docker ] && (( ${#network} <= 15 )); then
    echo "docker network create -o com.docker.network.bridge.name=$network $network"
  else
    echo "${RT##*/} network create $network"
  fi
}
network_facts() {
  local text key value id=''
  bridge='' driver='' subnets=() gateways=()
  text=$(rt 20 network inspect "$network" 2>&1) || {
    [[ ${text,,} == *'not found'* || ${text,,} == *'no such network'* ]] &&
      refuse network_missing "The network $network is not on the VM: $(make_network)"
    revived "$text" && text=$(rt 20 network inspect "$network" 2>&1) || away "$RT did not say what the network $network is: $text"
  }
  while IFS=$'\t' read -r key value; do
    case $key in
      network_interface | com.docker.network.bridge.name) bridge=$value ;;
      subnet | Subnet) [[ $value == *:* ]] || subnets+=("$value") ;;
      gateway | Gateway) [ -z "$value" ] || gateways+=("${value%%/*}") ;;
      driver | Driver) driver=${driver:-$value} ;;
      Id) id=${id:-$value} ;;
    esac
  done < <(grep -oE '"(network_interface|com\.docker\.network\.bridge\.name|subnet|Subnet|gateway|Gateway|driver|Driver|Id)": *"[^"]*"' <<<"$text" |
    sed -E 's/^"([^"]*)": *"([^"]*)"$/\1\t\2/')
  [ "$driver" = default ] && driver=bridge # the driver of docker's address management, where it comes first
  [ -n "$bridge" ] || { [ "${RT##*/}" = docker ] && [ -n "$id" ] && bridge=br-${id:0:12}; }
  [ "$driver" = bridge ] && [[ $bridge =~ ^[A-Za-z0-9_.-]{1,15}$ ]] && (( ${#subnets[@]} )) ||
    refuse network_unfit "The network $network is no bridge with an IPv4 subnet (its driver is ${driver:-unknown}), so its rules are not known. Make another one, and name it in SM_CONTAINER_NETWORK: $(network=isolated make_network)"
  local one
  for one in "${subnets[@]}" "${gateways[@]}"; do
    [[ $one =~ ^[0-9a-fA-F.:]+(/[0-9]+)?$ ]] || refuse network_unfit "The network $network has an address that is none: $one"
  done
}

own_addresses() { # this VM's IPv4 addresses, without loopback
  local a b last=''
  while read -r a b _; do
    [ "$a" = '|--' ] && last=$b
    [ "$a $b" = '/32 host' ] && [[ $last != 127.* ]] && echo "$last"
  done <"${1:-/proc/net/fib_trie}" | sort -u
}
resolvers() { # the IPv4 name servers that containers are given: the VM's own, or those behind systemd's stub
  local file found=''
  for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
    [ -r "$file" ] || continue
    found=$(sed -nE 's/^nameserver[[:space:]]+([0-9]+(\.[0-9]+){3})[[:space:]]*$/\1/p' "$file" | grep -v '^127\.' | sort -u)
    [ -n "$found" ] && break
  done
  printf '%s' "$found"
}
joined() { local IFS=,; printf '%s' "$*"; }
only_v4() { local one; for one in "$@"; do [[ $one == *:* ]] || echo "$one"; done; }

rule_set() { # whole|plain: the rules as text for `nft -f`, which replaces what was there in one step
  # plain is for kernels that do not know a frame's bridge (nft_meta_bridge). Where br_netfilter is on, the first table
  # refuses siblings already; it gives the quicker answer, so the second one looks later.
  local name=sm_${bridge//[^A-Za-z0-9]/_} nets a b some dns='' own='' others='meta oifkind "bridge" goto closed'
  nets=$(joined "${subnets[@]}")
  mapfile -t some < <(only_v4 "${gateways[@]}"; resolvers)
  (( ${#some[@]} )) && dns="ip daddr { $(joined "${some[@]}") } meta l4proto { tcp, udp } th dport 53 accept"
  if rootless; then # what slirp4netns and pasta show of the VM: its own addresses, and theirs for it
    mapfile -t some < <(own_addresses)
    own="ip daddr { $(joined 10.0.2.0/24 169.254.0.0/16 "${some[@]}") } goto closed"
  else # a VM whose way out is a bridge keeps it; to itself nothing is forwarded
    mapfile -t some < <(while read -r a b _; do if [ "$b" = 00000000 ] && [ -d "/sys/class/net/$a/bridge" ]; then echo "\"$a\""; fi; done </proc/net/route | sort -u)
    (( ${#some[@]} )) && others="meta oifkind \"bridge\" oifname != { $(joined "${some[@]}") } goto closed"
  fi
  cat <<END
table inet $name
delete table inet $name
table inet $name {
  chain closed {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain dns {
    $dns
  }
  chain here {
    jump dns
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    goto closed
  }
  chain away {
    jump dns
    meta nfproto ipv6 goto closed
    meta l4proto { tcp, udp } th dport 53 goto closed
    ip daddr { $nets } goto closed
    $own
    $others
  }
  chain input {
    type filter hook input priority -10; policy accept;
    iifname "$bridge" goto here
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname "$bridge" goto away
  }
}
table bridge $name
delete table bridge $name
table bridge $name {
  chain forward {
    type filter hook forward priority 10; policy accept;
END
  if [ "$1" = whole ]; then
    printf '    meta ibrname "%s" ether type != arp drop\n' "$bridge"
  else
    printf '    ip saddr { %s } drop\n    ip daddr { %s } drop\n    iifname "veth*" oifname "veth*" ether type ip6 drop\n' "$nets" "$nets"
  fi
  printf '  }\n}\n'
}
nft_tool() { command -v nft || { for nft in /usr/sbin/nft /sbin/nft; do [ -x "$nft" ] && echo "$nft" && return; done; return 1; }; }
without_nft() { echo "nft, which keeps the agents off this VM, is not installed on it: sudo apt-get install nftables"; }
load_rules() { # rootless: the bridge lives in a namespace of its own, and the rules go with it
  local nft text
  nft=$(nft_tool) || refuse nft_missing "$(without_nft)"
  # A bridge takes its address from its ports, so it would change with each container that comes or goes, and the others would
  # send into the void for half a minute (observed): it is given the one that it has.
  text=$(rt 30 unshare --rootless-netns bash -c '
    PATH=$PATH:/usr/sbin:/sbin
    [[ $(ip -o link show dev "$3" 2>/dev/null) =~ link/ether\ ([0-9a-f:]{17}) ]] && ip link set dev "$3" address "${BASH_REMATCH[1]}"
    "$0" -f - <<<"$1" 2>/dev/null || "$0" -f - <<<"$2"' "$nft" "$(rule_set whole)" "$(rule_set plain)" "$bridge" 2>&1 </dev/null) ||
    refuse network_unchecked "The rules of the network $network could not be loaded on the VM: $(tail -c 500 <<<"$text")"
}

# --- from inside ------------------------------------------------------------------------------------------------

# Runs in a container: says its addresses, then tries each line "tcp|udp ADDRESS PORT WHAT" it is given, all at once.
# A refused datagram was answered by the one who got it; our own rules answer "No route to host", or nothing in time.
# (A refused connection tells nothing: the rules do that too, since a TCP client of the same machine hears no ICMP at first.)
# `settle` waits until the IPv6 addresses may be used; `https NAME SECONDS` asks until something answers on port 443 of it.
# It ends at the end of its input, with all that it has at work, or when it heard nothing for as many seconds as it is told.
prober=$(cat <<'END'
export LC_ALL=C
a= b= last=
while read -r a b _; do
  [ "$a" = '|--' ] && last=$b
  [ "$a $b" = '/32 host' ] && [[ $last != 127.* ]] && echo "at $last"
done </proc/net/fib_trie
while read -r a b _ _ _ dev; do if [ "$dev" != lo ]; then echo "at6 $(sed 's/..../&:/g; s/:$//' <<<"$a") $dev"; fi; done 2>/dev/null </proc/net/if_inet6
echo here
said() { case $1 in *'No route to host'* | *'etwork is unreachable'* | *'Permission denied'* | *'Cannot assign'* | *'not supported'* | *'not permitted'*) return 1 ;; esac; }
try() {
  local text i code=0
  if [[ $2 == *[g-zG-Z]* ]] && command -v getent >/dev/null && ! timeout 8 getent ahosts "$2" >/dev/null; then
    echo "unresolved $4"
  elif [ "$1" = tcp ]; then
    text=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$2" "$3" 2>&1) || code=$?
    case $code:$text in
      0:*) echo "open $4" ;;
      124:* | *'onnection refused'* | *'timed out'*) echo "shut $4" ;;
      *'ame or service not known'* | *'name resolution'* | *'nvalid host'*) echo "unresolved $4" ;;
      *) if said "$text"; then echo "odd $4: $text" | head -n 1; else echo "shut $4"; fi ;;
    esac
  else
    text=$(exec 2>&1; exec 3<>"/dev/udp/$2/$3" || exit; for i in 1 2 3 4 5; do printf x >&3 || exit; sleep .05; done)
    case $text in
      *'onnection refused'*) echo "open $4" ;;
      '') echo "shut $4" ;;
      *) if said "$text"; then echo "odd $4: $text" | head -n 1; else echo "shut $4"; fi ;;
    esac
  fi
}
https() {
  local end=$((SECONDS + $2)) code left said proxy=${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY:-}}}}
  command -v curl >/dev/null || { echo "https nocurl"; return; }
  while :; do
    code=0 left=$((end - SECONDS - 2))
    (( left > 0 )) || left=1
    (( left < 8 )) || left=8
    said=$(curl -q -g -4 -s --head --proto =https --connect-timeout 4 -m "$left" -o /dev/null \
      -w '%{http_connect} %{time_namelookup}' "https://$1:443/" 2>/dev/null </dev/null) || code=$?
    case $code:${proxy:+proxy}:$said in
      28::*' 0.000000') code=6 ;; # nobody answered what its address is
      0:* | *:proxy:2*) echo "https reached $code"; return ;;
      *:proxy:*) ;;
      35:* | 52:* | 56:* | 60:*) echo "https reached $code"; return ;; # no TLS with it, but it is there
      6:* | 7:*) ;;
      # curl 7.88, observed, does not tell a handshake that hangs from a host that does not answer
      *) timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/443"' "$1" 2>/dev/null && { echo "https reached $code"; return; } ;;
    esac
    (( SECONDS + 1 < end )) || { echo "https unanswered $code"; return; }
    sleep 1
  done
}
while read -t "${1:-60}" -r kind address port what; do
  case $kind in
    go) wait; echo tried ;;
    https) https "$address" "$port" & ;;
    settle) for _ in 1 2 3 4 5 6 7 8; do grep -qE ' [4c]0 +[^ ]+$' /proc/net/if_inet6 || break; sleep .5; done; echo settled ;;
    *) try "$kind" "$address" "$port" "$what" & ;;
  esac
done
END
)

# Short containers as the agent's, a prober and its sibling; they end when we let go of them, or after `patience` seconds.
# Rootless podman takes its namespace down with the last container whose network is up, even if that of another is about to
# be: whoever ends such a container by itself takes `coming` for himself first.
boxes=2 patience=60
coming() { # flock's options: on descriptor 5, until that is closed
  if rootless && [ -d "${XDG_RUNTIME_DIR:-}" ] && { exec 5>>"$XDG_RUNTIME_DIR/sm-probes.lock"; } 2>/dev/null; then flock "$@" 5; fi
}
# What a power cut or a killed runtime left of them (podman keeps the record of such a container in spite of --rm): each says
# until when somebody may want it.
sweep() {
  local id until
  while read -r id; do
    until=$(rt 20 inspect -f '{{index .Config.Labels "sm.until"}}' "$id")
    [[ $until =~ ^[0-9]{1,12}$ ]] && (( until < EPOCHSECONDS )) && rt 40 rm -f "$id"
  done < <(rt 20 ps -aq --no-trunc --filter label=sm.probe)
  find "${XDG_RUNTIME_DIR:-/tmp}" -maxdepth 1 -user "$(id -u)" -name 'sm-probe.??????' -mmin +60 -exec rm -rf -- {} +
}
probe_begin() { # LABEL [OPTION…]
  local label=$1 n
  shift
  clients=()
  probes=$(mktemp -d "${XDG_RUNTIME_DIR:-/tmp}/sm-probe.XXXXXX" 2>/dev/null || mktemp -d) || away "No temporary folder can be made on the VM."
  trap probe_end EXIT
  as_user
  coming -s -w 30
  for (( n = 1; n <= boxes; n++ )); do
    mkfifo "$probes/$n.in"
    rt "$(( patience + 30 ))" run -i --rm --sig-proxy=false --init --cidfile "$probes/$n.cid" --label "sm.probe=$label" --label "sm.until=$(( EPOCHSECONDS + patience + 3600 ))" \
      --log-driver none --network "$network" "${user[@]}" --cap-drop=all --security-opt=no-new-privileges --pull=never --memory 256m --pids-limit 128 --read-only \
      "$@" -w / "$image" bash -c "$prober" sm "$patience" <"$probes/$n.in" >"$probes/$n.out" 2>"$probes/$n.err" 5>&- 6>&- 7>&- &
    clients[n]=$!
  done
  sweep </dev/null >/dev/null 2>&1 5>&- &
  exec 6<>"$probes/1.in"
  (( boxes < 2 )) || exec 7<>"$probes/2.in"
  for (( n = 1; n <= boxes; n++ )); do probe_waits here "$n"; done
  exec 5>&-
}
probe_waits() { # WORD NUMBER: until that container has said it
  local _
  for _ in $(seq 400); do
    grep -qx "$1" "$probes/$2.out" 2>/dev/null && return
    kill -0 "${clients[$2]}" 2>/dev/null || break
    sleep .05
  done
  grep -qx "$1" "$probes/$2.out" 2>/dev/null && return
  local text
  text=$(tail -c 600 "$probes/$2.err" 2>/dev/null)
  case ${text,,} in
    *'no such image'* | *'image not known'* | *'unable to find image'*) refuse image_missing "The image $image is not on the VM: $RT build -t $image ." ;;
  esac
  refuse network_unchecked "The network $network could not be tried from a container of the image $image (which needs bash): ${text:-no answer in 20 s}"
}
probe_try() { printf '%s\n' "$*" >&6; } # tcp|udp ADDRESS PORT WHAT TEXT
probe_said() { # the prober's verdicts, one a line
  printf 'go\n' >&6
  probe_waits tried 1
  grep -E '^(open|shut|unresolved|odd) ' "$probes/1.out"
}
probe_addresses() { sed -n "s/^$2 //p" "$probes/$1.out" | sort -u; } # NUMBER at|at6
siblings() { comm -13 <(probe_addresses 1 at) <(probe_addresses 2 at); }
probe_end() {
  trap - EXIT
  exec 6>&- 7>&-
  rm -rf -- "$probes"
}
ssh_port() { local port; read -r _ _ _ port <<<"${SSH_CONNECTION:-}"; [[ ${port:-} =~ ^[0-9]{1,5}$ ]] && echo "$port" || echo 22; }
ssh_address() { local at; read -r _ _ at _ <<<"${SSH_CONNECTION:-}"; [[ ${at:-} =~ ^[0-9.]+$ && $at != 127.* ]] && echo "$at"; }
try_vm_and_siblings() {
  local one port
  port=$(ssh_port)
  for one in $(only_v4 "${gateways[@]}"); do probe_try udp "$one" 9 gateway "the network's gateway ($one)"; probe_try tcp "$one" "$port" gateway "the network's gateway ($one), port $port"; done
  for one in $({ own_addresses; ssh_address; } | sort -u); do
    [[ " ${gateways[*]} " == *" $one "* ]] && continue
    probe_try udp "$one" 9 vm "the VM itself ($one)"
    probe_try tcp "$one" "$port" vm "the VM itself ($one), port $port"
  done
  (( boxes < 2 )) || for one in $(siblings); do probe_try udp "$one" 9 sibling "another container ($one)"; done
}
closed_or_refuse() { # tries the VM itself and siblings
  local found word what
  try_vm_and_siblings
  found=$(probe_said)
  while read -r word _ what; do
    case $word in
      open) refuse network_open "From a container on the network $network, $what can be reached: $(mend)" ;;
      odd) refuse network_unchecked "From a container on the network $network, it can't be told whether this is closed: $what" ;;
    esac
  done <<<"$found"
}

# The sandbox where no namespace can be had closes nothing and says so; it is on this very machine. Nobody else skips the check.
unguarded_sandbox() {
  local from at
  read -r from _ at _ <<<"${SSH_CONNECTION:-}"
  [ -n "$(printenv SM_SANDBOX_WITHOUT_NAMESPACES)" ] && [ "${from:-}" = 127.0.0.1 ] && [ "${at:-}" = 127.0.0.1 ]
}
mend() { # the command that closes what was found open
  if rootless; then
    echo "its rules were loaded and do not hold: does the kernel have nftables (sudo modprobe nf_tables), and does this work: podman unshare --rootless-netns nft list ruleset"
  elif [ "${RT##*/}" = docker ] && [[ $(rt 20 info -f '{{.SecurityOptions}}' 2>/dev/null) == *name=rootless* ]]; then
    echo "rules for rootless docker are not known; use podman, or docker as root's daemon"
  else
    echo "install the rules, as root on the VM, with what this prints where the service runs: sm doctor rules"
  fi
}
guard_network() { # LABEL: refuses when the network is not closed. Under rootless podman the containers stay until `guarded`, and the rules with them.
  unguarded_sandbox && return
  network_facts
  rootless && { nft_tool >/dev/null || refuse nft_missing "$(without_nft)"; }
  probe_begin "$1" "${no_ipv6[@]}"
  rootless && load_rules
  closed_or_refuse
  [ -z "$(probe_addresses 1 at6)" ] || refuse network_open "A container on the network $network has IPv6 although it was started without: $(probe_addresses 1 at6 | tr '\n' ' ')"
  rootless || probe_end
}
# Rootless podman takes its namespace down with the last container that has a network; one that is only created has none
# yet. So ours stay until the agent's runs (or has ended), and then the rules are looked for once more where it is.
guarded() { # CID-FILE EXIT-FILE
  local id text name _
  rootless && ! unguarded_sandbox || return
  for _ in $(seq 250); do
    [ -s "$2" ] && break
    if [ -s "$1" ]; then
      id=$(head -c 128 "$1")
      case $(container "$id") in none | failed | created* | configured* | initialized*) ;; *) break ;; esac
    fi
    sleep .1
  done
  if [ -n "${id:-}" ]; then
    name=sm_${bridge//[^A-Za-z0-9]/_}
    text=$(rt 20 unshare --rootless-netns bash -c '"$0" list table inet "$1" && "$0" list table bridge "$1"' "$(nft_tool)" "$name" 2>&1 </dev/null) || {
      rt 40 stop -t 0 "$id" >/dev/null 2>&1
      refuse network_open "The rules of the network $network went away while the container was started, so it was stopped; start again. $(tail -c 300 <<<"$text")"
    }
  fi
  probe_end
}
ipv6_off() { no_ipv6=(); if [ -e /proc/sys/net/ipv6/conf/all/disable_ipv6 ]; then no_ipv6=(--sysctl net.ipv6.conf.all.disable_ipv6=1); fi; }
