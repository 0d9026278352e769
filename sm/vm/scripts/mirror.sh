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

hg_line() { # MIRROR SECONDS ARGUMENT…: the command `line`
  local dir=$1 seconds=$2
  shift 2
  line=(timeout -k 10 "$seconds" env -C / GIT_TERMINAL_PROMPT=0 git -c safe.bareRepository=explicit -c core.hooksPath=/dev/null
    -c core.fsmonitor=false -c gc.auto=0 -c maintenance.auto=false -c protocol.ext.allow=never -c fetch.fsckObjects=true
    -c fetch.prune=false -c fetch.pruneTags=false
    -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "${credentials[@]}" --git-dir="$dir" "$@")
}
hg() { # MIRROR SECONDS ARGUMENT…; input=FILE hg … gives it something to read
  local line
  hg_line "$@"
  "${line[@]}" <"${input:-/dev/null}" 8>&-
}
remote_head() { # BRANCH SECONDS: the commit of a branch upstream, nothing when it has none
  hg "$m" "$2" ls-remote --heads -- "$url" "refs/heads/$1" | # also lists what only ends like that
    while read -r id name; do if [ "$name" = "refs/heads/$1" ]; then printf '%s' "$id"; fi; done
}

masked() { local text=$1 token; token=$(printenv GH_TOKEN); [ -n "$token" ] && text=${text//"$token"/***}; printf '%s' "$text" | tail -c 600; }
verdict() { # STATUS TEXT: what git's failure at the mirror means, as `code` and `sentence`
  local text
  text=$(masked "$2")
  case $2 in
    *'No space left'* | *'quota exceeded'*) code=disk_full sentence="The VM's disk is full: $text" ;;
    *'certificate problem'* | *'certificate verif'* | *'certificate signer'* | *'self-signed certificate'* | *'certificate subject'*)
      code=git_failed sentence="The VM does not trust the certificate of $site; its git needs http.sslCAInfo: $text" ;;
    *'Could not resolve'* | *'Failed to connect'* | *'Connection refused'* | *'onnection timed out'* | *'etwork is unreachable'* | *'o route to host'* | *'Connection reset'* | *'unable to connect'* | *'Could not connect'* | *'Proxy CONNECT aborted'* | *'gnutls_handshake'* | *'SSL'*)
      code=network_unreachable sentence="The VM does not reach $site: $text" ;;
    *'early EOF'* | *'RPC failed'* | *'hung up unexpectedly'* | *'too slow'* | *'unexpected disconnect'* | *'transfer closed'*)
      code=network_unreachable sentence="The connection of the VM to $site broke: $text" ;;
    *'epository not found'* | *'does not exist'* | *'not appear to be a git repository'* | *'returned error: 404'* | *"epository '"*"' not found"*)
      code=repository_missing sentence="There is no repository $org/$repo, or it is private: $text" ;;
    *'could not read Username'* | *'could not read Password'* | *'Authentication failed'* | *'ermission denied'* | *'returned error: 403'* | *'returned error: 401'*)
      code=no_access sentence="The VM may not read $org/$repo (a private one needs GH_TOKEN in the VM user's login environment): $text" ;;
    *'returned error: 5'* | *'returned error: 429'*) code=git_failed sentence="$site cannot answer now, try again later: $text" ;;
    *)
      code=git_failed sentence="Git on the VM failed for $org/$repo: $text"
      (( $1 == 124 || $1 == 137 )) && code=${slow_means:-network_unreachable} sentence="Git on the VM gave up on $org/$repo after its time limit: $text"
      ;;
  esac
}
git_said() { # STATUS TEXT: a definite no, or an unknown that may be tried again
  local code sentence
  verdict "$1" "$2"
  refuse "$code" "$sentence"
}

box_line() { # CIDFILE OPTION… IMAGE COMMAND…: the command `line`
  local id=$1 user mirror=() limits=(--memory 4g --pids-limit 512)
  shift
  as_user
  [ "${RT##*/}" = podman ] && [ "$(id -u)" != 0 ] && ! [ -e /sys/fs/cgroup/cgroup.controllers ] &&
    limits+=(--ulimit nproc=512:512) # rootless without cgroups v2: podman ignores the other limit
  [ -n "$m" ] && mirror=(-v "$m:$m:ro")
  line=(timeout -k 5 "$limit" "$RT" run --rm --cidfile "$id" --network none "${user[@]}" --cap-drop=all --security-opt=no-new-privileges
    --pull=never "${limits[@]}" -e HOME=/tmp -e GIT_OPTIONAL_LOCKS=0 -e GIT_LFS_SKIP_SMUDGE=1 -e GIT_TERMINAL_PROMPT=0
    "${mirror[@]}" "$@")
}
box() { # OPTION… IMAGE COMMAND…: a container that sees the mirror and what is mounted, and no network; `limit` seconds
  local code=0 id=$base/.parts/box.$$ line
  box_line "$id" "$@"
  rm -f -- "$id"
  "${line[@]}" </dev/null 8>&- || code=$?
  (( code == 124 || code == 137 )) && [ -s "$id" ] && rt 40 rm -f "$(cat "$id")" >/dev/null 2>&1 # client gone is not container gone
  rm -f -- "$id"
  return "$code"
}
box_failed() { # STATUS TEXT WHAT: when it is the container's own fault
  case ${2,,} in *'no such image'* | *'image not known'* | *'unable to find image'*) refuse image_missing "The image $image is not on the VM: $RT build -t $image ." ;; esac
  (( $1 == 125 || $1 == 126 || $1 == 127 )) && refuse container_failed "The container that $3 did not start: $(masked "$2")"
}
