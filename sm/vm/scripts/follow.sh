# GENERATION_FOLDER OFFSET: after the line "stream" the raw bytes of `out` from there, until the pump's lock is free.
d=$1 from=$2 out=$1/out
broken() { say broken "$*"; end; }
if ! [ -e "$out" ]; then
  [ -d "${d%/*/*}" ] || away "The sessions folder ${d%/*/*} is not there on the VM."
  (( from == 0 )) || broken "The output file is gone; $from bytes of it were read."
  say nothing; end
fi
[ -s "$d/inode" ] && [ "$(<"$d/inode")" != "$(stat -c %i "$out")" ] && broken "The output file was replaced by another."
now=$(stat -c %s "$out")
(( now >= from )) || broken "The output file is $now bytes long; $from bytes of it were read before."
if (( from > 0 )) && [ "$(tail -c "+$from" "$out" | head -c 1 | od -An -tu1 | tr -d ' ')" != 10 ]; then
  # Only the unfinished last line of a dead generation ends without a newline.
  (( now == from )) && ! is_held "$d/alive" || broken "Byte $from of the output file does not follow the end of a line."
fi
exec 3<&0
say stream
flock -s "$d/alive" true 3<&- >/dev/null 2>&1 &
watch=$! # ends with the pump
{ while read -r _; do :; done; kill "$watch"; } <&3 >/dev/null 2>&1 &
guard=$! # ends with the connection, which is our stdin
exec 3<&-
tail -c "+$(( from + 1 ))" -f -s .1 --pid="$watch" -- "$out"
code=$?
kill "$watch" "$guard" 2>/dev/null
exit "$code"
