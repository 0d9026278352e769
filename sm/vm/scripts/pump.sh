# GENERATION_FOLDER RUNTIME ARGUMENT…: the container's standard input and output, detached from every connection.
# The lock on `alive` is the sign of life; it is waited for, since a probe takes it for a moment.
cd -- "$1" || exit
RT=$2
shift 2
exec 9>alive
flock -w 5 9 || exit
if [ -e exit ] || [ -s cid ]; then exit; fi # a generation runs once
bash -c 'echo $$ >pid; exec "$@"' pump "$RT" "$@" \
  9>&- < <(exec tail -c +1 -F -s .2 --pid=$$ in 9>&-) 2> >(ulimit -S -f 16384; exec cat >>err 9>&-) \
  | (ulimit -S -f 262144; exec cat >>out 9>&-)
st="${PIPESTATUS[*]}"
# The client gone is not the container gone.
[ -s cid ] && timeout 30 "$RT" stop -t 5 "$(cat cid)" >/dev/null 2>&1 9>&-
echo "$st $(timeout 10 "$RT" inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' "$(cat cid || echo none)" 9>&-)" >exit.part 2>/dev/null && mv exit.part exit
