# SESSION_FOLDER RUNTIME IMAGE UUID: does the agent's own transcript hold this id? Read inside a container: the folder is hostile.
s=$1 RT=$2 image=$3 uuid=$4
[ -d "$s/home" ] || { say has unknown; end; }
as_user
rt 60 run --rm --network none "${user[@]}" --cap-drop=all --security-opt=no-new-privileges --pull=never \
  --memory 4g --pids-limit 512 --read-only -v "$s/home:/home/agent:ro" -w /home/agent "$image" \
  sh -c 'test -d .claude/projects || exit 3; exec grep -rqF -D skip --include=*.jsonl -e "$1" .claude/projects' sm "$uuid" \
  </dev/null >/dev/null 2>&1
case $? in
  0) say has yes ;;
  1 | 3) say has no ;;
  *) say has unknown ;;
esac
end
