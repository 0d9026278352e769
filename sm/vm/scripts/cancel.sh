# SESSION_FOLDER EPOCH RUNTIME: ends a preparation of this session that is under way, and any that comes later.
s=$1 RT=$3
folder "$s"
hold "$s/" "$2"
text=$({ : >"$s/cancelled"; } 2>&1) || refuse "$(no_room "$text")" "$s/cancelled cannot be written on the VM: $text"
exec 8>&-

signalled() { local pid; while read -r pid _; do kill "-$1" "$pid" 2>/dev/null; done < <(under_way); }
signalled TERM
for _ in $(seq 300); do [ -n "$(under_way)" ] || break; sleep .1; done
signalled KILL # one that hangs; what it had at work is ended apart
reap "$s/job"
end
