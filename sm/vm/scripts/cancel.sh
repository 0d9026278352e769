# SESSION_FOLDER EPOCH RUNTIME: ends a preparation of this session that is under way, and any that comes later.
s=$1 RT=$3
folder "$s"
hold "$s/" "$2"
text=$({ : >"$s/cancelled"; } 2>&1) || refuse "$(no_room "$text")" "$s/cancelled cannot be written on the VM: $text"
exec 8>&-

under_way() { # which of them are still at work
  local pid start
  while read -r pid start; do still "$pid" "$start" && echo "$pid"; done <"$s/preparing"
}
[ -s "$s/preparing" ] || end
for pid in $(under_way); do kill "$pid" 2>/dev/null; done
for _ in $(seq 300); do [ -n "$(under_way)" ] || break; sleep .1; done
for pid in $(under_way); do kill -KILL "$pid" 2>/dev/null; done # it hangs; what it had at work is ended by itself
reap "$s/job"
end
