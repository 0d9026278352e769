# SESSION_FOLDER EPOCH GENERATION RUNTIME REMOVE: ends a generation by its container's id. Files are never removed.
s=$1 epoch=$2 gen=$3 RT=$4 remove=$5
d=$s/$gen
[ -d "$d" ] || { report "$d"; end; }
hold "$s/" "$epoch"
client=$(head -c 20 "$d/pid" 2>/dev/null) # a hint only: believed when that process works in this folder
[[ $client =~ ^[0-9]+$ ]] || client=none
here() { [ "/proc/$1/cwd" -ef "$d" ]; }
at_work() { # the client, or a writer of `out` or `err`
  local p
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    here "$p" || continue
    if [ "$p" = "$client" ] || [ "$(cat "/proc/$p/comm" 2>/dev/null)" = cat ]; then return 0; fi
  done
  return 1
}

if [ -e "$d/alive" ] && ! [ -s "$d/cid" ]; then # starting: give the runtime the time to name its container
  for _ in $(seq 50); do if [ -s "$d/cid" ] || ! is_held "$d/alive"; then break; fi; sleep .1; done
  if ! [ -s "$d/cid" ] && is_held "$d/alive"; then
    [ "$client" != none ] && here "$client" && kill "$client"
  fi
fi

cid=''
[ -s "$d/cid" ] && cid=$(head -c 128 "$d/cid")
if [ -n "$cid" ]; then
  case $(container "$cid") in
    failed) away "$RT gave no answer about the container of generation $gen." ;;
    none | exited* | stopped* | dead* | created* | configured*) ;;
    *) rt 40 stop -t 5 "$cid" >/dev/null 2>&1 || away "$RT did not stop the container of generation $gen." ;;
  esac
fi
[ -e "$d/alive" ] && { flock -w 45 -s "$d/alive" true 8>&- || away "The pump of generation $gen is still at work."; }
# A pump that was killed left its client and the two writers: `out` is whole when they are gone.
for _ in $(seq 100); do at_work || break; sleep .1; done
if [ -n "$cid" ] && [ "$remove" = 1 ] && [ "$(container "$cid")" != none ]; then
  rt 40 rm -f "$cid" >/dev/null 2>&1 || away "$RT did not remove the container of generation $gen."
fi
report "$d"
end
