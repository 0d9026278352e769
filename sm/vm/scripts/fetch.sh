# REPOS_BASE ORG REPO EPOCH GIT_BASE_URL: the mirror is brought up to date. Says how many branches and tags moved, and the first.
paths "$1" "$2" "$3" "$5"
s='' budget=1750
have_mirror
refs() { hg "$m" 60 for-each-ref --format='%(refname) %(objectname)' refs/heads refs/tags | LC_ALL=C sort; }
before=$(fetched_times)
was=$(refs)
hold "$m." "$4" "$budget"
reap "$m.job"
if [ "$(fetched_times)" = "$before" ]; then # nobody else has, since we began to wait
  telling=$m.progress
  trap 'rm -f -- "$m.progress"' EXIT
  refresh_mirror || git_said $? "$said"
fi
moved=$(comm -13 <(printf '%s\n' "$was") <(refs) | cut -d ' ' -f 1)
say changed "$(grep -c . <<<"$moved")"
say detail "$(head -n 5 <<<"$moved" | sed 's|^refs/heads/||; s|^refs/tags/|tag |' | paste -s -d ',' | sed 's/,/, /g' | one_line)"
end
