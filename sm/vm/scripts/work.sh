# What the long steps share: each tells how far it is, can be ended meanwhile, and leaves nothing at work behind it.
# A process is known by its number and when it was started, for numbers are used again. `budget`: seconds for all together.

shopt -s extglob
at_work='' told='' told_at=-1 latest=''
stat_of() { local text=''; { read -r text <"/proc/$1/stat"; } 2>/dev/null; stat=${text##*) }; } # `stat`: its fields from the state on
born() { # PID: the ticks since boot at which it was started; nothing when it is gone
  local stat
  stat_of "$1"
  set -- $stat
  [ "${1:-Z}" != Z ] && printf '%s' "${20}"
}
still() { [[ $1 =~ ^[0-9]+$ && $2 =~ ^[0-9]+$ ]] && [ "$(born "$1")" = "$2" ]; }
left() { # MOST: seconds that a step may take
  local rest=$(( budget - SECONDS ))
  if (( rest < 1 )); then echo 1; elif (( rest < $1 )); then echo "$rest"; else echo "$1"; fi
}

reap() { # FILE: ends what an earlier script left at work, of which the file tells: number, birth, the container's id file
  local pid='' start='' id='' stat _
  { read -r pid start id <"$1"; } 2>/dev/null || return 0
  [ -n "$id" ] && [ -s "$id" ] && rt 40 rm -f "$(head -c 128 "$id")" >/dev/null 2>&1
  if still "$pid" "$start"; then
    kill "$pid" 2>/dev/null
    for _ in $(seq 120); do still "$pid" "$start" || break; sleep .1; done
    # The leader of a group of its own, as `timeout` makes itself: all that it started goes with it.
    stat_of "$pid"
    still "$pid" "$start" && [[ $stat == ?' '*([0-9])' '"$pid"' '* ]] && kill -KILL -- "-$pid" 2>/dev/null
  fi
  rm -f -- "$1" ${id:+"$id"}
}

tell() { # PHASE PERCENT: at most one line a second, the latest, and none twice; nobody need listen any more
  latest="$1 $2"
  [ "$latest" = "$told" ] || (( SECONDS == told_at )) && return
  told=$latest told_at=$SECONDS
  trap '' PIPE
  printf 'progress %s\n' "$told" 2>/dev/null
  trap - PIPE
  [ -z "${telling:-}" ] || printf '%s\n' "$told" 2>/dev/null >"$telling"
}
heard() { # TEXT: what was printed; git's lines of progress end with a return
  local text=$1 one
  while [ -n "$text" ]; do
    one=${text%%$'\n'*}
    if [ "$one" = "$text" ]; then text=''; else text=${text#*$'\n'}; fi
    if [[ $one =~ ^(remote:\ )?([A-Z][a-z]+(\ [a-z]+)?):\ +([0-9]{1,3})%\ \( ]]; then
      tell "${BASH_REMATCH[2]}" "${BASH_REMATCH[4]}"
    elif [ -n "$one" ]; then
      said+=$one$'\n'
    fi
  done
  (( ${#said} <= keep )) || said=${said: -keep}
}

# Runs the command `line`. What it prints apart from progress is in `said`, its last `keep` bytes.
work() { # JOB-FILE [CIDFILE]
  local piece held='' got code job=$1 id=${2:-} start
  said='' keep=${keep:-4000}
  exec 7< <(
    self=$BASHPID
    printf '%s %s %s\n' "$self" "$(born "$self")" "$id" 2>/dev/null | tee -- "$job" ${s:+"$s/job"} >/dev/null 2>&1
    exec "${line[@]}" </dev/null 2>&1 8>&-
  )
  at_work=$! at_work_id=$id
  start=$(born "$at_work")
  while :; do
    piece=''
    IFS= read -r -d $'\r' -n 4096 -t 1 -u 7 piece
    got=$?
    held+=$piece
    if (( got <= 128 )) && [ -n "$held" ]; then heard "$held"; held=''; fi
    if (( got > 128 )); then
      [ -z "$latest" ] || tell "${latest% *}" "${latest##* }"
      still "$at_work" "$start" || break # over, though something that it started still holds its output
    elif (( got )); then
      break
    fi
  done
  [ -z "$held" ] || heard "$held"
  wait "$at_work"
  code=$?
  exec 7<&-
  at_work=''
  if [ -n "$id" ]; then
    (( code == 124 || code == 137 )) && [ -s "$id" ] && rt 40 rm -f "$(cat "$id")" >/dev/null 2>&1 # client gone is not container gone
    rm -f -- "$id"
  fi
  rm -f -- "$job" ${s:+"$s/job"}
  return "$code"
}

under_way() { # which preparations of the session are still at work: number and birth
  local pid start
  [ -s "$s/preparing" ] || return 0
  while read -r pid start; do if still "$pid" "$start"; then echo "$pid $start"; fi; done <"$s/preparing"
}
cancelled() { # the answer to TERM
  trap '' TERM PIPE
  if [ -n "$at_work" ]; then
    [ -n "$at_work_id" ] && [ -s "$at_work_id" ] && rt 40 rm -f "$(cat "$at_work_id")" >/dev/null 2>&1
    kill "$at_work" 2>/dev/null
    wait "$at_work"
    rm -f -- ${at_work_id:+"$at_work_id"} "$s/job"
  fi
  refuse cancelled "The preparation of $org/$repo was ended."
}
