# SESSION_FOLDER EPOCH GENERATION EXPECTED BYTES, the line on stdin: compare and append.
s=$1 epoch=$2 d=$1/$3 expected=$4 bytes=$5
[ -d "$s" ] || { [ -d "${s%/*}" ] || away "The sessions folder ${s%/*} is not there on the VM."; refuse generation_missing "The VM has no folder $s."; }
hold "$s/" "$epoch"
[ -f "$d/in" ] || refuse generation_missing "The VM has no input file $d/in: that generation was never started."
trap 'rm -f -- "$d/in.part"' EXIT

text=$(head -c "$bytes" 2>&1 >"$d/in.part") || refuse "$(no_room "$text")" "The line cannot be stored on the VM: $text"
(( $(size "$d/in.part") == bytes )) || away "The line did not arrive whole on the VM; nothing was appended."

now=$(size "$d/in") there=0
if (( now > expected && now <= expected + bytes )); then
  there=$(( now - expected )) # an earlier try got this far: the rest follows if the bytes are this line's beginning
  cmp -s <(tail -c "$there" "$d/in") <(head -c "$there" "$d/in.part") || { say mismatch "$now"; end; }
elif (( now != expected )); then
  say mismatch "$now"; end
fi
text=$(tail -c "+$(( there + 1 ))" "$d/in.part" 2>&1 >>"$d/in") ||
  refuse "$(no_room "$text")" "The line was written in part (the next try completes it): $text"
(( $(size "$d/in") == expected + bytes )) || away "The input file on the VM did not grow as it should; the next try completes it."
say length "$(( expected + bytes ))"
end
