# In the container, in POSIX sh: make MIRROR BRANCH CREATE, or use MIRROR BRANCH UPDATE. The place is the working folder. What is found
# stands in lines that begin with `sm`; it is a claim, for the configuration that git reads here may be the agent's.
set -u
t=$(mktemp -d) || exit 4
trap 'rm -rf -- "$t"' EXIT
git() {
  command git --no-replace-objects -c safe.directory='*' -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.quotePath=true \
    -c core.pager=cat -c gc.auto=0 -c maintenance.auto=false -c submodule.recurse=false -c fetch.recurseSubmodules=false \
    -c protocol.ext.allow=never -c advice.detachedHead=false -c merge.verifySignatures=false "$@"
}
fact() { printf '\nsm %s\n' "$*"; }
upstream() { git --git-dir="$m" rev-parse -q --verify "refs/heads/$1^{commit}"; }
told() { fact branch "$(git symbolic-ref -q HEAD)"; fact head "$(git rev-parse -q --verify 'HEAD^{commit}')"; exit 0; }
changes() { # whether there are any, with the first of them as facts
  git status --porcelain=v1 --no-renames --untracked-files=normal >"$t/status" || exit 4
  [ -s "$t/status" ] || return 1
  fact changes "$(wc -l <"$t/status")"
  head -n 10 "$t/status" | sed 's/^/sm change /'
}
refreshed() { git fetch -q --no-write-fetch-head "$m" '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'; }
related() { git merge-base "$1" "$2" >/dev/null; }

m=$2
if [ "$1" = make ]; then
  git clone -q --progress --shared ${3:+--branch "$3"} -- "$m" . || exit
  [ -z "$4" ] || git switch -q --no-track -c "$4" || exit
  told
fi

want=$3 update=$4
git rev-parse --git-dir >/dev/null || exit 3
if [ "$update" = 1 ] && [ -z "$want" ] && ! git rev-parse -q --verify HEAD >/dev/null; then # made of an empty repository
  first=$(git --git-dir="$m" symbolic-ref -q HEAD) && upstream "${first#refs/heads/}" >/dev/null && want=${first#refs/heads/}
fi
if [ -n "$want" ] && [ "$(git symbolic-ref -q HEAD)" != "refs/heads/$want" ]; then
  here=$(git rev-parse -q --verify "refs/heads/$want^{commit}") || here=''
  up=$(upstream "$want") || up=''
  if [ -z "$here$up" ]; then fact switch missing; told; fi
  if changes; then fact switch changes; told; fi
  if [ -n "$here" ] && [ -n "$up" ] && ! related "$here" "$up"; then fact switch unrelated; told; fi
  refreshed
  if [ -n "$here" ]; then
    git switch -q --no-guess --no-overwrite-ignore "$want"
  else
    git switch -q --no-overwrite-ignore -c "$want" --track "refs/remotes/origin/$want" 2>/dev/null ||
      git switch -q --no-overwrite-ignore -c "$want" --no-track "$up"
  fi || { fact switch stuck; told; }
fi

if [ "$update" = 1 ] && branch=$(git symbolic-ref -q HEAD) && branch=${branch#refs/heads/} && up=$(upstream "$branch"); then
  refreshed
  at=$(git rev-parse -q --verify 'HEAD^{commit}') || at=''
  if [ "$at" = "$up" ] || { [ -n "$at" ] && git merge-base --is-ancestor "$up" "$at"; }; then
    :
  elif [ -n "$at" ] && ! git merge-base --is-ancestor "$at" "$up"; then
    if related "$at" "$up"; then fact update diverged "$at" "$up"; else fact update unrelated "$at" "$up"; fi
  elif changes; then
    fact update dirty
  elif git merge -q --ff-only --no-autostash --no-overwrite-ignore "$up"; then
    fact update updated "${at:-none}" "$up"
  else
    fact update stuck
  fi
fi
told
