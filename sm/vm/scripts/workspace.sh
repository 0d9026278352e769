# What is read from a workspace is read in a container without a network, in which only /tmp can be written: the workspace is
# hostile, and so is whatever its git says. Both are bounded.

# What each script in such a container begins with; `t` is a folder of its own.
in_box='
set -u
t=$(mktemp -d) || exit 4
trap "rm -rf -- \"$t\"" EXIT
git() {
  command git --no-replace-objects -c safe.directory="*" -c core.fsmonitor=false -c core.hooksPath=/dev/null \
    -c core.untrackedCache=false -c core.quotePath=true -c core.pager=cat -c gc.auto=0 "$@"
}
upstream() { git --git-dir="$1" for-each-ref --format="^%(objectname)" refs/heads; }
git rev-parse --git-dir >/dev/null || exit 3
'

# Runs a command in the container. What it prints goes to FILE, BYTES of it at most; what it complains of to `said`.
look() { # BYTES FILE ARGUMENT…
  local bytes=$1 file=$2
  shift 2
  [ -d "$w" ] || refuse workspace_missing "The folder $w is not there on the VM."
  folder "${file%/*}"
  said=$({
    box --read-only --tmpfs /tmp:rw,nosuid,nodev,size=512m,mode=1777 -e LC_ALL=C -v "$w:/workspace:ro" -w /workspace "$@" | head -c "$bytes" >"$file"
    exit "${PIPESTATUS[0]}"
  } 2>&1 | { head -c 4000; cat >/dev/null; }; exit "${PIPESTATUS[0]}")
}

look_failed() { # STATUS
  box_failed "$1" "$said" "reads $w"
  case ${said,,} in
    *'no space left'* | *'quota exceeded'*) refuse disk_full "There is no room on the VM to look at $w: $(masked "$said")" ;;
    *'not a git repository'*) refuse not_git "$w is no git repository." ;;
  esac
  (( $1 == 124 || $1 == 137 )) && refuse too_slow "Git in the container did not finish with $w in $limit s."
  refuse clone_unreadable "Git in the container cannot read $w: $(masked "$said")"
}
