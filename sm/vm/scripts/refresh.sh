# The mirror is made, and brought up to date; it never loses anything. The caller holds its lock.

want_refs=('+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*')
packs_at_most=50 loose_at_most=40 # loose: in one of the 256 folders

fetched_times() { local times=0; { read -r times <"$m.fetched"; } 2>/dev/null; echo "$times"; } # how often, so far

# Fetches everything into a bare repository, and sets its HEAD to the branch that is the default one upstream. Answers git's
# status, with its words in `said`.
fetch_into() { # DIR
  local code head
  tidied "$1"
  slow_means=network_unreachable
  hg_line "$1" "$(left 90)" ls-remote --symref "$url" HEAD
  work "$m.job" || return
  head=$(sed -n 's/^ref: \(refs\/heads\/[^[:space:]]*\)[[:space:]]HEAD$/\1/p' <<<"$said" | head -n 1)
  slow_means=too_slow # a connection that carries nothing any more is given up long before
  hg_line "$1" "$(left 2000)" fetch -q --progress --no-write-fetch-head "$url" "${want_refs[@]}"
  work "$m.job"
  code=$?
  if (( code )) && [[ $said == *'cannot lock ref'* ]]; then # upstream has a/b now, where a was a branch
    make_way "$1"
    hg_line "$1" "$(left 2000)" fetch -q --progress --no-write-fetch-head "$url" "${want_refs[@]}"
    work "$m.job"
    code=$?
  fi
  (( code )) && return "$code"
  if [ -n "$head" ] && [ "$head" != "$(hg "$1" 20 symbolic-ref -q HEAD)" ]; then said=$(hg "$1" 20 symbolic-ref HEAD "$head" 2>&1) || return; fi
}
tidied() { # DIR: without what git leaves when it is killed; nobody else writes here under the lock
  [ -d "$1/objects" ] || return
  [ -e "$m.compact" ] && is_held "$m.compact" && return # it writes there, too, and ends by itself
  find "$1" -type f -name '*.lock' -delete 2>/dev/null
  find "$1/objects" -type f -name 'tmp_*' -delete 2>/dev/null
  find "$1/objects/pack" -maxdepth 1 -type f -name '*.keep' -exec grep -q '^fetch-pack ' {} \; -delete 2>/dev/null
}
make_way() { # DIR: refs that are upstream no more and in the way of one that is; their commits stay under another name
  local -A there=() inside=()
  local commit name other clash
  while read -r _ name; do
    there[$name]=1 other=$name
    while other=${other%/*}; [[ $other == refs/*/* ]]; do inside[$other]=1; done
  done < <(hg "$1" "$(left 90)" ls-remote --refs "$url" 2>/dev/null)
  (( ${#there[@]} )) || return
  while read -r commit name; do
    [ -z "${there[$name]:-}" ] || continue
    clash=${inside[$name]:-} other=$name
    while other=${other%/*}; [[ $other == refs/*/* ]]; do clash+=${there[$other]:-}; done
    [ -n "$clash" ] && hg "$1" 20 update-ref "refs/sm/gone/$commit" "$commit" && hg "$1" 20 update-ref -d "$name"
  done < <(hg "$1" 60 for-each-ref --format='%(objectname) %(refname)' refs/heads refs/tags)
}

make_mirror() {
  rm -rf -- "$m.part"
  said=$(env -C / git init -q --bare "$m.part" 2>&1 8>&-) || return
  fetch_into "$m.part" || return
  hg "$m.part" 60 pack-refs --all 2>/dev/null
  said=$(hg "$m.part" 20 config remote.origin.url "$url" 2>&1) || return
  mv -T -- "$m.part" "$m" || refuse path_taken "At $m on the VM there is something that is no mirror; move it away."
  counted
}
refresh_mirror() {
  fetch_into "$m" || return
  counted
  compacted
}
counted() { printf '%s\n' "$(( $(fetched_times) + 1 ))" >"$m.fetched.part" && mv -f -- "$m.fetched.part" "$m.fetched"; } 2>/dev/null

# Now and then many packs become one, beside the step that found them. All objects are kept, those too that no branch has any
# more: workspaces borrow them.
compacted() {
  local packs loose line
  packs=$(find "$m/objects/pack" -maxdepth 1 -name '*.pack' 2>/dev/null | wc -l)
  loose=$(find "$m/objects/17" -maxdepth 1 -type f 2>/dev/null | wc -l)
  (( packs > packs_at_most || loose > loose_at_most )) || return 0
  hg_line "$m" 3000 -c pack.threads=1 -c pack.windowMemory=256m repack -q -a -d -k
  setsid -f flock -n "$m.compact" nice -n 15 "${line[@]}" </dev/null >/dev/null 2>&1 8>&- 7>&-
}
