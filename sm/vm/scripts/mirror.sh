# What the scripts share that use git on the host: it touches the bare mirror only, and its token goes there only.
# They read the variables base, org, repo, RT and image; `paths` sets the others.

paths() { # REPOS_BASE ORG REPO GIT_BASE_URL: where things are, and how git asks for access
  base=$1 org=$2 repo=$3 site=$4
  url=$site/$org/$repo slug=github.com/$org/$repo
  m=$base/.mirrors/$slug.git
  credentials=()
  if [ -n "$(printenv GH_TOKEN)" ]; then # by a helper that reads the environment: never in an argument or a file
    credentials=(-c "credential.$site.helper=" -c "credential.$site.helper=!f() { test \"\$1\" = get && printf 'username=x-access-token\npassword=%s\n' \"\$GH_TOKEN\"; }; f")
  fi
}
have_mirror() { [ -f "$m/HEAD" ] || refuse mirror_missing "The mirror $m of $org/$repo is not there on the VM; a new start makes it."; }

hg() { # MIRROR SECONDS ARGUMENT…; input=FILE hg … gives it something to read
  local dir=$1 seconds=$2
  shift 2
  timeout -k 10 "$seconds" env -C / GIT_TERMINAL_PROMPT=0 git -c safe.bareRepository=explicit -c core.hooksPath=/dev/null \
    -c core.fsmonitor=false -c gc.auto=0 -c maintenance.auto=false -c protocol.ext.allow=never -c fetch.fsckObjects=true \
    -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "${credentials[@]}" --git-dir="$dir" "$@" <"${input:-/dev/null}" 8>&-
}
remote_head() { # BRANCH SECONDS: the commit of a branch upstream, nothing when it has none
  hg "$m" "$2" ls-remote --heads -- "$url" "refs/heads/$1" | # also lists what only ends like that
    while read -r id name; do if [ "$name" = "refs/heads/$1" ]; then printf '%s' "$id"; fi; done
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
      refuse network_unreachable "The VM does not reach $site: $text" ;;
    *'could not read Username'* | *'could not read Password'* | *'Authentication failed'* | *'ermission denied'* | *'returned error: 403'* | *'returned error: 401'*)
      refuse no_access "The VM may not read $org/$repo (a private one needs GH_TOKEN in the VM user's login environment): $text" ;;
  esac
  (( $1 == 124 || $1 == 137 )) && refuse network_unreachable "Git on the VM gave up on $org/$repo after its time limit: $text"
  refuse git_failed "Git on the VM failed for $org/$repo: $text"
}

box() { # OPTION… IMAGE COMMAND…: a container that sees the mirror and what is mounted, and no network; `limit` seconds
  local code=0 id=$base/.parts/box.$$ mirror=()
  as_user
  [ -n "$m" ] && mirror=(-v "$m:$m:ro")
  rm -f -- "$id"
  rt "$limit" run --rm --cidfile "$id" --network none "${user[@]}" --cap-drop=all --security-opt=no-new-privileges --pull=never \
    --memory 4g --pids-limit 512 -e HOME=/tmp -e GIT_OPTIONAL_LOCKS=0 "${mirror[@]}" "$@" </dev/null || code=$?
  (( code == 124 || code == 137 )) && [ -s "$id" ] && rt 40 rm -f "$(cat "$id")" >/dev/null 2>&1 # client gone is not container gone
  rm -f -- "$id"
  return "$code"
}
box_failed() { # STATUS TEXT WHAT: when it is the container's own fault
  case ${2,,} in *'no such image'* | *'image not known'* | *'unable to find image'*) refuse image_missing "The image $image is not on the VM: $RT build -t $image ." ;; esac
  (( $1 == 125 || $1 == 126 || $1 == 127 )) && refuse container_failed "The container that $3 did not start: $(masked "$2")"
}
