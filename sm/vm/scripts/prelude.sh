# What every remote script begins with. The answer follows the line ::sm-answer::, because a login profile may
# print before it, and ends with the line "done": an answer without it was cut, and proves nothing.
set -uo pipefail
IFS=$' \t\n'
umask 077
export LC_ALL=C
unset CDPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
printf '\n::sm-answer::\n'

one_line() { tr '\n\r\t' '   ' | tr -d '\000-\037\177' | head -c 900; }
say() { printf '%s\n' "$*"; }
end() { printf 'done\n'; exit 0; }
refuse() { local code=$1; shift; printf 'refused %s %s\n' "$code" "$(printf '%s' "$*" | one_line)"; end; }
away() { printf 'away %s\n' "$(printf '%s' "$*" | one_line)"; end; }
no_room() { if [[ $* == *'No space left'* || $* == *'quota exceeded'* ]]; then echo disk_full; else echo path_not_writable; fi; }

folder() { # PATH: is there afterwards
  local text
  [ -d "$1" ] && return
  text=$(mkdir -p -- "$1" 2>&1) || refuse "$(no_room "$text")" "The folder $1 cannot be made on the VM: $text"
}

# Takes the lock PREFIXlock and compares the writer's epoch with the stored one: a later writer's is never lowered.
hold() { # PREFIX EPOCH [SECONDS]; meanwhile the command `while_waiting`, once a second
  local held='' text seconds=${3:-20}
  { exec 8>>"${1}lock"; } 2>/dev/null || refuse path_not_writable "${1}lock cannot be written on the VM."
  until flock -w 1 8; do
    (( --seconds > 0 )) || away "Another step still holds ${1}lock on the VM."
    ${while_waiting:-:}
  done
  [ -s "${1}epoch" ] && held=$(<"${1}epoch")
  [[ $held =~ ^[0-9]{1,18}$ ]] || held=0
  (( 10#$held > $2 )) && refuse fenced "A later writer (epoch $held) has taken over; this one has epoch $2."
  if (( 10#$held < $2 )); then
    text=$({ printf '%s\n' "$2" >"${1}epoch.part" && sync "${1}epoch.part" && mv -f "${1}epoch.part" "${1}epoch"; } 2>&1) ||
      refuse "$(no_room "$text")" "${1}epoch cannot be written on the VM: $text"
  fi
}

# Every call of the runtime is bounded in time and closes the locks: podman leaves processes behind that would keep them.
rt() { local seconds=$1; shift; timeout -k 5 "$seconds" "$RT" "$@" 5>&- 8>&-; }

# Rootless podman answers nothing at all after every process of its user was killed (`loginctl terminate-user`, memory that
# ran out): it looks for its namespace in processes that are gone. What it advises then is done; no container can be running.
revived() { # WHAT-IT-SAID
  [[ ${RT##*/} == podman && $1 == *'invalid internal status'* ]] || return
  rt 40 system migrate >/dev/null 2>&1
  return 0
}

# One container by its id or name: "STATUS EXITCODE OOMKILLED", "none", or "failed" (the runtime gave no answer).
inspected() { rt 20 inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' "$1" 2>&1; }
container() {
  local text
  if text=$(inspected "$1") || { revived "$text" && text=$(inspected "$1"); }; then
    printf '%s' "${text##*$'\n'}"
  elif [[ ${text,,} =~ no\ such\ (object|container) ]]; then
    printf none
  else
    printf failed
  fi
}

size() { stat -c %s -- "$1" 2>/dev/null || echo 0; }
is_held() { ! flock -n -s "$1" true 8>&-; } # a shared probe: two probes never take each other for the pump

# What stands in one generation's folder, one fact a line.
report() {
  local d=$1 lock=absent cid='' box=none ended=''
  [ -d "$d" ] || { [ -d "${d%/*/*}" ] || away "The sessions folder ${d%/*/*} is not there on the VM."; say lock absent; return; }
  if [ -e "$d/alive" ]; then if is_held "$d/alive"; then lock=held; else lock=free; fi; fi
  [ -s "$d/cid" ] && cid=$(head -c 128 "$d/cid")
  [ -n "$cid" ] && box=$(container "$cid")
  say lock "$lock"
  say cid "$cid"
  say container "$box"
  [ -s "$d/exit" ] && ended=$(head -c 300 "$d/exit")
  say exit "$(printf '%s' "$ended" | one_line)"
  say in "$(size "$d/in")"
  say out "$(size "$d/out")"
}

# The container runs as the VM user's own uid: keep-id is for rootless podman, which refuses it to root.
as_user() {
  if [ "${RT##*/}" = podman ] && [ "$(id -u)" != 0 ]; then user=(--userns=keep-id); else user=(--user "$(id -u):$(id -g)"); fi
}
