# TICK BEAT: watches idle generations. On stdin come "add NUMBER BYTES FOLDER" and "drop NUMBER"; says "changed NUMBER",
# once, when FOLDER/out is not BYTES long or another file, `exit` is there, or nobody holds `alive`; and "here" every BEAT
# seconds. What stands there is compared, every TICK seconds, so a change from before "add" counts, too.
exec 2>/dev/null # nobody reads it, and bash reports each child that it ends
tick=$1 beat=$2
declare -A out=() known=() waiter=() # by number; known is "BYTES INODE"
trap 'kill "${waiter[@]}"' EXIT

add() { # NUMBER BYTES FOLDER
  local node=none
  [[ $1 =~ ^[0-9]{1,18}$ && $2 =~ ^[0-9]{1,18}$ && $3 == /* ]] || return
  [ -z "${out[$1]-}" ] || return
  if [ -s "$3/inode" ]; then read -r node <"$3/inode"; else node=$(stat -c %i -- "$3/out"); fi
  [ -e "$3/alive" ] || { say changed "$1"; return; } # flock would make it
  out[$1]=$3/out
  known[$1]="$2 $node"
  # Waiting for the lock disturbs no pump and takes no work; a probe a tick would be a process a tick.
  flock -s "$3/alive" true </dev/null >/dev/null &
  waiter[$1]=$!
}

drop() { # NUMBER
  [[ $1 =~ ^[0-9]{1,18}$ && -n ${out[$1]-} ]] || return
  kill "${waiter[$1]}"
  unset "out[$1]" "known[$1]" "waiter[$1]"
}

look() {
  local bytes node name number
  declare -A seen=()
  (( ${#out[@]} )) || return
  while read -r bytes node name; do seen[$name]="$bytes $node"; done < <(stat -c '%s %i %n' -- "${out[@]}")
  for number in "${!out[@]}"; do
    name=${out[$number]}
    if [ "${seen[$name]-}" != "${known[$number]}" ] || [ -e "${name%out}exit" ] || ! kill -0 "${waiter[$number]}"; then
      say changed "$number"
      drop "$number"
    fi
  done
}

said=$SECONDS looked=$SECONDS part=''
while :; do
  IFS= read -r -t "$tick" line
  code=$?
  if (( code > 128 )); then # no whole line yet
    part+=$line
  elif (( code )); then # the connection is gone
    exit 0
  else
    line=$part$line part=''
    word=${line%% *} rest=${line#* }
    case $word in
      add) number=${rest%% *} rest=${rest#* }; add "$number" "${rest%% *}" "${rest#* }" ;;
      drop) drop "$rest" ;;
    esac
    (( SECONDS == looked )) && continue # a flood of requests does not keep us from looking
  fi
  look
  looked=$SECONDS
  if (( SECONDS - said >= beat )); then say here; said=$SECONDS; fi
done
