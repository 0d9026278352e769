# REPOS_BASE ORG REPO EPOCH RUNTIME IMAGE GIT_BASE_URL: the bare mirror, and the main clone that borrows its objects.
# Git on the host touches the mirror only; the clone is made and read inside a container without a network.
base=$1 org=$2 repo=$3 epoch=$4 RT=$5 image=$6 url=$7/$2/$3
slug=github.com/$org/$repo
m=$base/.mirrors/$slug.git w=$base/$slug part=$base/.parts/$slug made=$base/.made/$slug

credentials=()
if [ -n "$(printenv GH_TOKEN)" ]; then # by a helper that reads the environment: never in an argument or a file
  credentials=(-c "credential.$7.helper=" -c "credential.$7.helper=!f() { test \"\$1\" = get && printf 'username=x-access-token\npassword=%s\n' \"\$GH_TOKEN\"; }; f")
fi
hg() { # MIRROR SECONDS ARGUMENT…
  local dir=$1 seconds=$2
  shift 2
  timeout -k 10 "$seconds" env -C / GIT_TERMINAL_PROMPT=0 git -c safe.bareRepository=explicit -c core.hooksPath=/dev/null \
    -c core.fsmonitor=false -c gc.auto=0 -c maintenance.auto=false -c protocol.ext.allow=never -c fetch.fsckObjects=true \
    -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "${credentials[@]}" --git-dir="$dir" "$@" </dev/null 8>&-
}
masked() { local text=$1 token; token=$(printenv GH_TOKEN); [ -n "$token" ] && text=${text//"$token"/***}; printf '%s' "$text" | tail -c 600; }
git_said() { # STATUS TEXT: a definite no, or an unknown that may be tried again
  local text
  text=$(masked "$2")
  case $2 in
    *'No space left'* | *'quota exceeded'*) refuse disk_full "The VM's disk is full: $text" ;;
    *'epository not found'* | *'does not exist'* | *'not appear to be a git repository'* | *'returned error: 404'*)
      refuse repository_missing "There is no repository $org/$repo, or it is private: $text" ;;
    *'Could not resolve host'* | *'Failed to connect'* | *'Connection refused'* | *'onnection timed out'* | *'Network is unreachable'* | *'Connection reset'* | *'unable to connect'* | *'early EOF'* | *'RPC failed'* | *'too slow'* | *'Could not connect'* | *'SSL'*)
      refuse network_unreachable "The VM does not reach ${url%%/"$org"/"$repo"}: $text" ;;
    *'could not read Username'* | *'could not read Password'* | *'Authentication failed'* | *'ermission denied'* | *'returned error: 403'* | *'returned error: 401'*)
      refuse no_access "The VM may not read $org/$repo (a private one needs GH_TOKEN in the VM user's login environment): $text" ;;
  esac
  (( $1 == 124 || $1 == 137 )) && refuse network_unreachable "Git on the VM gave up on $org/$repo after its time limit: $text"
  refuse git_failed "Git on the VM failed for $org/$repo: $text"
}
box() { # ARGUMENT…: a container that sees the mirror and one folder, and no network
  local code=0 id=$base/.parts/box.$$
  rm -f -- "$id"
  rt "$limit" run --rm --cidfile "$id" --network none "${user[@]}" --cap-drop=all --security-opt=no-new-privileges --pull=never \
    --memory 4g --pids-limit 512 -e HOME=/tmp -e GIT_OPTIONAL_LOCKS=0 -v "$m:$m:ro" "$@" </dev/null || code=$?
  (( code == 124 || code == 137 )) && [ -s "$id" ] && rt 40 rm -f "$(cat "$id")" >/dev/null 2>&1 # client gone is not container gone
  rm -f -- "$id"
  return "$code"
}

for path in "$m" "$w" "$part" "$made"; do folder "${path%/*}"; done
hold "$m." "$epoch" 60
trap 'rm -f -- "$part.err"' EXIT
as_user

fresh=1
if [ -e "$w" ] || [ -L "$w" ]; then
  [ -d "$w" ] && ! [ -L "$w" ] && [ -s "$made" ] && [ "$(<"$made")" = "$(stat -c %i "$w")" ] ||
    refuse path_taken "At $w on the VM there is something that was not made here; move it away: mv $w $w.old"
  fresh=0
fi

if ! [ -f "$m/HEAD" ]; then
  rm -rf -- "$m.part"
  text=$(env -C / git init -q --bare "$m.part" 2>&1 8>&-) || git_said $? "$text"
  heads=$(hg "$m.part" 90 ls-remote --symref "$url" HEAD 2>"$part.err") || { code=$?; text=$(tail -c 4000 "$part.err"); git_said "$code" "$text"; }
  text=$(hg "$m.part" 1500 fetch -q --no-write-fetch-head "$url" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' 2>&1) || git_said $? "$text"
  head=$(sed -n 's/^ref: \(refs\/heads\/[^[:space:]]*\)[[:space:]]HEAD$/\1/p' <<<"$heads" | head -n 1)
  [ -z "$head" ] || hg "$m.part" 20 symbolic-ref HEAD "$head" || git_said $? "its default branch could not be set"
  hg "$m.part" 20 config remote.origin.url "$url" || git_said $? "its address could not be stored"
  mv -T -- "$m.part" "$m" || refuse path_taken "At $m on the VM there is something that is no mirror; move it away."
fi

limit=600
if (( fresh )); then
  rm -rf -- "$part"
  folder "$part"
  text=$(box -v "$part:/workspace" -w /workspace "$image" git clone -q --shared -- "$m" /workspace 2>&1) || {
    code=$?
    case ${text,,} in *'no such image'* | *'image not known'* | *'unable to find image'*) refuse image_missing "The image $image is not on the VM: $RT build -t $image ." ;; esac
    (( code == 125 || code == 126 || code == 127 )) && refuse container_failed "The container that makes the clone did not start: $(masked "$text")"
    git_said "$code" "$text"
  }
  text=$(stat -c %i "$part" 2>&1 >"$made.part" && mv -f -- "$made.part" "$made" 2>&1) || refuse "$(no_room "$text")" "$made cannot be written on the VM: $text"
  mv -T -- "$part" "$w" || refuse path_taken "At $w on the VM there is something that was not made here; move it away."
  branch=$(hg "$m" 20 symbolic-ref -q --short HEAD)
  head=$(hg "$m" 20 rev-parse -q --verify HEAD)
else
  limit=60
  text=$(box --read-only -v "$w:/workspace:ro" -w /workspace "$image" \
    sh -c 'git symbolic-ref -q --short HEAD || echo; git rev-parse -q --verify HEAD || echo' 2>"$part.err" | head -c 1000) ||
    refuse clone_unreadable "The clone $w cannot be read: $(masked "$(tail -c 2000 "$part.err")")"
  { read -r branch; read -r head; } <<<"$text"
fi
say path "$w"
say mirror "$m"
say branch "${branch:-}"
say head "${head:-}"
say created "$fresh"
end
