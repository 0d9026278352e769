# RUNTIME IMAGE NETWORK HOST PORT: says of each thing that must be closed whether a container on the network reaches it.
# Unlike the agent's, these containers have IPv6, so that the rules are tried and not only its absence.
RT=$1 image=$2 network=$3 host=$4 port=$5
unguarded_sandbox && refuse network_unchecked "This sandbox has no network namespaces, so its containers are not closed in: run it as root on Linux."
network_facts
rootless && { nft_tool >/dev/null || refuse nft_missing "$(without_nft)"; }
probe_begin doctor
rootless && load_rules

probe_try tcp "$host" "$port" outside "$host:$port, a host outside the alias"
try_vm_and_siblings

colons() { sed 's/..../&:/g; s/:$//' <<<"$1"; }
six=()
if [ -n "$(probe_addresses 1 at6)" ]; then
  printf 'settle\n' | tee /dev/fd/6 >&7
  probe_waits settled 1
  probe_waits settled 2
  if rootless; then text=$(rt 20 unshare --rootless-netns cat /proc/net/if_inet6 2>/dev/null); else text=$(cat /proc/net/if_inet6 2>/dev/null); fi
  while read -r address _ _ scope _ device; do
    if [ "$device" = "$bridge" ] && [ "$scope" = 20 ]; then six+=("$(colons "$address")%eth0 the network's gateway"); fi
  done <<<"$text"
  while read -r address _ _ scope _ device; do
    if [ "$device" != lo ] && [ "$scope" = 00 ]; then six+=("$(colons "$address") the VM itself"); fi
  done 2>/dev/null </proc/net/if_inet6
  for one in "${gateways[@]}"; do [[ $one == *:* ]] && six+=("$one the network's gateway"); done
  while read -r address device; do
    [[ ${address:-} == fe80:* ]] && address=$address%$device
    [ -n "${address:-}" ] && six+=("$address another container")
  done < <(probe_addresses 2 at6)
  probe_addresses 1 at6 | grep -qv '^fe80:' && six+=("2001:4860:4860::8888 a host outside")
  for one in "${six[@]}"; do
    probe_try udp "${one%% *}" 9 ipv6 "IPv6: ${one#* } (${one%% *})"
    probe_try tcp "${one%% *}" "$(ssh_port)" ipv6 "IPv6: ${one#* } (${one%% *}), port $(ssh_port)"
  done
  (( ${#six[@]} )) || say shut ipv6 "IPv6: only an address of its own, and nobody else's"
else
  say shut ipv6 "IPv6: the container has no address"
fi
[ -n "$(siblings)" ] || say odd sibling "another container: it has no address of its own here"
probe_said
say advice "$(mend)"
end
