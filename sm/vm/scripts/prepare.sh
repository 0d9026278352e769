# REPOS_BASE ORG REPO EPOCH RUNTIME IMAGE GIT_BASE_URL WORKTREES SESSION_FOLDER WORKTREE BRANCH CREATE UPDATE FETCH BUDGET IN_PLACE:
# the bare mirror, and the place that borrows its objects: the main clone, or the worktree of a name.
# Git on the host touches the mirror only; the place is made, changed and read inside a container without a network (IN_PLACE).
epoch=$4 RT=$5 image=$6
paths "$1" "$2" "$3" "$7"
shift 7
worktrees=$1 s=$2 worktree=$3 branch=$4 create=$5 update=$6 want=$7 budget=$8 in_place=$9
if [ -n "$worktree" ]; then
  name=$repo-$worktree w=$worktrees/$repo-$worktree
  made=$worktrees/.made/$name.tree part=$worktrees/.parts/$name.tree what="the worktree"
else
  w=$base/$slug made=$base/.made/$slug.git part=$base/.parts/$slug.git what="the main clone"
fi

# --- begun: from now on the session can end it ---
folder "$s"
hold "$s/" "$epoch"
trap cancelled TERM
[ -e "$s/cancelled" ] && refuse cancelled "The preparation of $org/$repo was ended before it began."
text=$({ under_way; echo "$$ $(born "$$")"; } 2>&1 >"$s/preparing.part" && mv -f -- "$s/preparing.part" "$s/preparing" 2>&1) || refuse "$(no_room "$text")" "$s/preparing cannot be written on the VM: $text"
exec 8>&-
before=$(fetched_times)
for path in "$m" "$w" "$part" "$made"; do folder "${path%/*}"; done

look_there() { # whose the place is: `fresh` when there is none; `kept`, the branch that it was made from
  local inode='' owner=''
  fresh=1 kept=''
  [ -e "$w" ] || [ -L "$w" ] || return
  fresh=0
  { read -r inode owner kept <"$made"; } 2>/dev/null
  [ -d "$w" ] && ! [ -L "$w" ] && [ -n "$inode" ] && [ "$inode" = "$(stat -c %i -- "$w")" ] ||
    refuse path_taken "At $w on the VM there is something that was not made here; move it away: mv $w $w.old"
  [ "$owner" = "$org/$repo" ] || refuse path_owned "The worktree $w on the VM belongs to $owner."
}
in_mirror() { hg "$m" 20 rev-parse -q --verify "refs/heads/$1^{commit}" 2>/dev/null; }
relayed() { # waiting for another step's fetch: how far it is
  local phase
  { read -r phase <"$m.progress"; } 2>/dev/null && [[ $phase =~ ^([A-Za-z\ ]{1,40})\ ([0-9]{1,3})$ ]] && tell "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
}

# --- the mirror ---
look_there
missed=''
stale() { # whether it is to be fetched
  ! [ -f "$m/HEAD" ] || (( want || update )) || { (( fresh )) && [ -n "$worktree" ]; } || unknown
}
unknown() { [ -n "$branch" ] && ! { [ -n "$worktree" ] && (( ! fresh )); } && ! in_mirror "$branch" >/dev/null; }
if stale; then
  while_waiting=relayed hold "$m." "$epoch" "$(left "$budget")"
  telling=$m.progress
  trap 'rm -rf -- "$m.part" "$m.progress"' EXIT
  reap "$m.job"
  if ! [ -f "$m/HEAD" ]; then
    make_mirror || git_said $? "$said"
  elif [ "$(fetched_times)" = "$before" ] || unknown; then # nobody else has, since we began to wait
    refresh_mirror || { verdict $? "$said"; missed=$code; missed_text=$sentence; }
  fi
  rm -f -- "$m.progress"
  telling=''
  trap - EXIT
  exec 8>&-
fi
default=$(hg "$m" 20 symbolic-ref -q HEAD) default=${default#refs/heads/}

no_branch() { # what the caller looks for near ones in
  [ -n "$missed" ] && refuse "$missed" "Branch $branch of $org/$repo is not known on the VM, and asking failed. $missed_text"
  say missing "$branch"
  hg "$m" 20 for-each-ref --count=400 --sort=-committerdate --format='known %(refname:lstrip=2)' refs/heads | head -c 30000
  echo
  end
}
from=${branch:-$default}
if (( fresh )); then
  [ -z "$branch" ] || in_mirror "$branch" >/dev/null || no_branch
  [ -z "$from" ] || in_mirror "$from" >/dev/null || from=''
fi

# --- the place ---
while_waiting='' hold "$made." "$epoch" "$(left "$budget")"
reap "$made.job"
look_there
in_box() { # MODE OPTION… MODE-ARGUMENT…: `said` is what was found
  limit=$(left "$1") keep=24000
  shift
  box_line "$made.cid" --read-only --tmpfs /tmp:rw,nosuid,nodev,size=512m,mode=1777 -e LC_ALL=C -w /workspace "$@"
  rm -f -- "$made.cid"
  work "$made.job" "$made.cid"
}
if (( fresh )); then
  trap 'rm -rf -- "$part"' EXIT
  rm -rf -- "$part"
  find "${part%/*}" -mindepth 1 -maxdepth 1 -name '*.tree' -mmin +180 -exec rm -rf -- {} + # of a step that was killed
  folder "$part"
  in_box 1800 -v "$part:/workspace" "$image" sh -c "$in_place" sm make "$m" "$from" "$create" || {
    code=$?
    box_failed "$code" "$said" "makes $what"
    slow_means=too_slow git_said "$code" "$said"
  }
  kept=$from
  text=$({ printf '%s %s %s\n' "$(stat -c %i -- "$part")" "$org/$repo" "$from" >"$made.part" && sync "$made.part" && mv -f -- "$made.part" "$made"; } 2>&1) ||
    refuse "$(no_room "$text")" "$made cannot be written on the VM: $text"
  mv -T -- "$part" "$w" || refuse path_taken "At $w on the VM there is something that was not made here; move it away."
else
  mount=(-v "$w:/workspace:ro") used=''
  [ -n "$worktree" ] || { [ -z "$branch" ] && (( ! update )); } || mount=(-v "$w:/workspace") used=$branch
  in_box 600 "${mount[@]}" "$image" sh -c "$in_place" sm use "$m" "$used" "$([ -n "$worktree" ] || echo "$update")" || {
    code=$?
    box_failed "$code" "$said" "reads $w"
    case $said in *'No space left'* | *'quota exceeded'*) git_said "$code" "$said" ;; esac
    (( code == 124 || code == 137 )) && refuse too_slow "Git in the container did not finish with $w in $limit s."
    refuse clone_unreadable "Git in the container cannot read $w: $(masked "$said")"
  }
  [[ $'\n'$said == *$'\nsm switch missing\n'* ]] && no_branch
fi
exec 8>&-

# --- what is said of it ---
say path "$w"
say mirror "$m"
say created "$fresh"
say default "$default"
say kept "$kept"
say found "$(printf '%s' "$said" | base64 -w 0)"
[ -z "$missed" ] || say missed "$missed $(one_line <<<"$missed_text")"
now=$(sed -n 's|^sm branch refs/heads/||p' <<<"$said" | tail -n 1)
[[ $now =~ ^[A-Za-z0-9._/+#@=-]{1,200}$ ]] && in_mirror "$now" >/dev/null || now=${kept:-$default}
say base "$now"
at=$(in_mirror "$now") || end

listed() { # WORD: how many paths there are, and the first of them
  local paths
  paths=$(cat)
  [ -z "$paths" ] || { say "$1" "$(wc -l <<<"$paths")"; head -n 10 <<<"$paths" | cut -c 1-300 | sed "s/^/$1_path /"; }
}
hg "$m" 30 ls-tree -r "$at" 2>/dev/null | sed -n 's/^160000 [^\t]*\t//p' | listed submodules
if hg "$m" 30 grep -q -a -e 'filter=lfs' "$at" -- ':(glob)**/.gitattributes' 2>/dev/null; then
  hg "$m" 60 grep -l -a -e '^version https://git-lfs\.github\.com/spec/v1$' "$at" 2>/dev/null | cut -d : -f 2- | listed lfs
fi
end
