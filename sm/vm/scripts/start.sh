# SESSION_FOLDER EPOCH GENERATION RUNTIME SESSION NAME IMAGE NETWORK WORKSPACE MIRROR PUMP BYTES AGENT-ARGUMENT…,
# the first line of `in` on stdin (BYTES long). Harmless when run again: a generation starts once.
s=$1 epoch=$2 gen=$3 RT=$4 session=$5 name=$6 image=$7 network=$8 workspace=$9
shift 9
mirror=$1 pump=$2 bytes=$3
shift 3
d=$s/$gen
label() { rt 20 inspect -f "{{index .Config.Labels \"$1\"}}" "$2" 2>/dev/null; }
stored() { local text; text=$("${@:2}" 2>&1 >"$1.part") && mv -f -- "$1.part" "$1" || refuse "$(no_room "$text")" "$1 cannot be written on the VM: $text"; }
started() { say existing "$1"; say cid "$([ -s "$d/cid" ] && head -c 128 "$d/cid")"; end; }
begun() { for _ in $(seq "$1"); do if [ -s "$d/cid" ] || [ -s "$d/exit" ]; then return; fi; sleep .1; done; }

folder "$s"
hold "$s/" "$epoch"
folder "$d"
folder "$s/home"
if [ -s "$d/cid" ] || [ -e "$d/exit" ]; then started 1; fi
if [ -e "$d/alive" ] && is_held "$d/alive"; then begun 100; started 1; fi

[ -n "$(printenv ANTHROPIC_API_KEY)" ] ||
  refuse api_key_missing "ANTHROPIC_API_KEY is not in the login environment of $(id -un) on the VM: echo 'export ANTHROPIC_API_KEY=…' >> ~/.profile"
[ -d "$workspace" ] || refuse workspace_missing "The folder $workspace is not there on the VM."

# Whoever carries the name: an older generation of this session is stopped by its id and removed, nobody else is touched.
case $(container "$name") in
  none) ;;
  failed) away "$RT did not say whether a container $name exists." ;;
  *)
    id=$(rt 20 inspect -f '{{.Id}}' "$name" 2>/dev/null) && [ -n "$id" ] || away "$RT did not say which container carries the name $name."
    whose=$(label sm.session "$id") older=$(label sm.generation "$id")
    [ "$whose" = "$session" ] && [[ $older =~ ^[0-9]{1,9}$ ]] ||
      refuse name_taken "A container $name that is not of this session exists on the VM; rename or remove it: $RT rename $name other"
    (( older <= gen )) || refuse generation_old "Generation $older of this session is on the VM already; $gen is older."
    case $(container "$id") in
      created* | configured* | exited* | stopped* | dead*) ;;
      *) rt 40 stop -t 5 "$id" >/dev/null 2>&1 || away "$RT did not stop the container of generation $older." ;;
    esac
    [ -e "$s/$older/alive" ] && flock -w 45 -s "$s/$older/alive" true 8>&- # its pump writes down how it ended
    rt 40 rm -f "$id" >/dev/null 2>&1 || away "$RT did not remove the container of generation $older."
    ;;
esac

ipv6_off
guard_network "$session"

if ! [ -s "$d/in" ]; then
  text=$(head -c "$bytes" 2>&1 >"$d/in.part") || refuse "$(no_room "$text")" "$d/in cannot be written on the VM: $text"
  (( $(size "$d/in.part") == bytes )) || away "The first line did not arrive whole on the VM; nothing was started."
  mv -f -- "$d/in.part" "$d/in"
fi
: >>"$d/out"
: >>"$d/err"
stored "$d/inode" stat -c %i "$d/out"
stored "$d/pump" printf '%s' "$pump"

as_user
limits=(--memory 4g --pids-limit 512)
extra=()
if [ "$(id -u)" = 0 ]; then
  extra=(-e IS_SANDBOX=1) # the CLI refuses to run unattended as root without it
elif [ "$RT" = podman ] && ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  limits+=(--ulimit nproc=512:512) # rootless without cgroups v2: podman ignores the other limit
fi
[ -n "$mirror" ] && extra+=(-v "$mirror:$mirror:ro")
run=(run -i --cidfile cid --sig-proxy=false --init --name "$name"
  --label "sm.session=$session" --label "sm.generation=$gen" --log-driver none --network "$network"
  "${user[@]}" --cap-drop=all --security-opt=no-new-privileges --pull=never "${limits[@]}" "${no_ipv6[@]}"
  --tmpfs /tmp:rw,exec,nosuid,nodev,size=1g,mode=1777
  -e ANTHROPIC_API_KEY -e HOME=/home/agent -e CLAUDE_CONFIG_DIR=/home/agent/.claude
  -e CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS=1 -e DISABLE_AUTOUPDATER=1 -e CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
  -v "$s/home:/home/agent" "${extra[@]}" -v "$workspace:/workspace" -w /workspace)
setsid -f bash "$d/pump" "$d" "$RT" "${run[@]}" "$image" "$@" </dev/null >/dev/null 2>&1 6>&- 7>&- 8>&-
begun 200
guarded "$d/cid" "$d/exit"
started 0
