# RUNTIME IMAGE NETWORK NAME SECONDS LABEL: asks port 443 of the host NAME, as an agent would, until something answers there or the
# seconds are over. Nothing is asked before the network was found closed; what can't be tried is refused.
RT=$1 image=$2 network=$3 name=$4 seconds=$5 label=$6
boxes=1 patience=$(( seconds + 40 ))
no_container() { refuse network_unchecked "The container that asked for $name ended before it had an answer: $(tail -c 300 "$probes/1.err" 2>/dev/null)"; }
# Gone before we are, whatever ended us. The client removes it, or its monitor; what holds on is removed by its id.
leave() {
  local _
  trap '' HUP INT TERM PIPE
  coming -x -w 30
  exec 6>&-
  for _ in $(seq 20); do kill -0 "${clients[1]}" 2>/dev/null || break; sleep .1; done
  [ ! -s "$probes/1.cid" ] || [ "$(container "$(head -c 128 "$probes/1.cid")")" = none ] || rt 40 rm -f "$(head -c 128 "$probes/1.cid")" >/dev/null 2>&1
  exec 5>&-
  probe_end
}

ipv6_off
if unguarded_sandbox; then
  probe_begin "$label" "${no_ipv6[@]}"
  trap leave EXIT
else
  network_facts
  rootless && { nft_tool >/dev/null || refuse nft_missing "$(without_nft)"; }
  probe_begin "$label" "${no_ipv6[@]}"
  trap leave EXIT
  rootless && load_rules
  closed_or_refuse
fi

(( seconds > SECONDS )) && left=$(( seconds - SECONDS )) || left=1
probe_try https "$name" "$left" said
until answer=$(grep -m 1 '^https ' "$probes/1.out" 2>/dev/null); do
  kill -0 "${clients[1]}" 2>/dev/null || { answer=$(grep -m 1 '^https ' "$probes/1.out") && break; no_container; }
  (( SECONDS < seconds + 20 )) || no_container
  say progress asking # nobody to hear it any more: that ends us, and so the container
  sleep .3
done
say "${answer#https }"
end
