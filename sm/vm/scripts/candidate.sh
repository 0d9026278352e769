# REPOS_BASE ORG REPO EPOCH RUNTIME IMAGE GIT_BASE_URL SESSION WORKSPACE BRANCH TARGET DEFAULT_BRANCH: takes the commits of a branch
# of the workspace into the mirror, and says what a push of them as TARGET would bring. Pushes nothing.
# The workspace is read in a container only; what comes out of it is a bundle, whose objects are checked before they are let in.
epoch=$4 RT=$5 image=$6 session=$8 w=$9
paths "$1" "$2" "$3" "$7"
shift 9
branch=$1 target=$2 default=$3
limit=300 most=104857600 ref=refs/sm/${session:0:8}/head
bundle=$base/.parts/bundle.$$ checked=$base/.parts/objects.$$
trap 'rm -rf -- "$bundle" "$checked"' EXIT
find "$base/.parts" -maxdepth 1 \( -name 'bundle.*' -o -name 'objects.*' \) -mmin +120 -exec rm -rf -- {} + 2>/dev/null # of a step that was killed
unreadable() { refuse bundle_unreadable "What $w gives out for $branch is not whole, and nothing of it was taken: $(masked "$*")"; }

have_mirror
look $(( most + 1 )) "$bundle" "$image" sh -c "$in_box"'
tip=$(git rev-parse -q --verify "refs/heads/$2^{commit}") || exit 5
upstream "$1" | sort -u | head -n 20000 >"$t/not"
if [ "$(git rev-list --count --stdin "$tip" <"$t/not")" = 0 ]; then echo "tip $tip"; exit; fi
{ git bundle create -q --version=2 - "refs/heads/$2" $(cat "$t/not"); echo $? >"$t/code"; } | head -c "$3"
exit "$(cat "$t/code")"' sm "$m" "$branch" "$(( most + 1 ))" || {
  code=$?
  (( code == 5 )) && refuse branch_missing "There is no branch $branch with a commit in $w."
  (( $(size "$bundle") > most )) || look_failed "$code"
}
(( $(size "$bundle") > most )) && refuse too_large "What $branch adds is over $(( most >> 20 )) MiB, more than is taken out of a workspace. See: git rev-list --objects --disk-usage $branch --not --remotes"

hold "$m." "$epoch" 60
if [ "$(head -c 4 "$bundle")" = 'tip ' ]; then # it has all its commits upstream already
  commit=$(head -c 100 "$bundle" | sed -n '1s/^tip \([0-9a-f]*\)$/\1/p')
  [ "$(hg "$m" 20 cat-file -t "$commit" 2>&1)" = commit ] || unreadable "no commit ${commit:0:64}"
  text=$(hg "$m" 20 update-ref "$ref" "$commit" 2>&1) || git_said $? "$text"
else
  # Git fetches from a bundle without checking its objects (2.39, observed), so this is done apart, and aside.
  [ "$(head -c 16 "$bundle" | head -n 1)" = '# v2 git bundle' ] || unreadable "$(head -c 100 "$bundle")"
  at=$(grep -m 1 -abn '^$' "$bundle" | cut -d : -f 2)
  [ -n "$at" ] || unreadable 'no objects in it'
  rm -rf -- "$checked"
  folder "$checked/pack"
  exec 7< <(tail -c "+$(( at + 2 ))" "$bundle")
  text=$(ulimit -v 6291456; input=/dev/fd/7 GIT_OBJECT_DIRECTORY=$checked GIT_ALTERNATE_OBJECT_DIRECTORIES=$m/objects \
    hg "$m" 300 index-pack --strict --fix-thin --stdin --max-input-size="$most" 2>&1) || unreadable "$text"
  exec 7<&-
  text=$(ulimit -v 6291456; hg "$m" 300 fetch -q --no-tags --no-write-fetch-head "$bundle" "+refs/heads/$branch:$ref" 2>&1) || unreadable "$text"
  commit=$(hg "$m" 20 rev-parse -q --verify "$ref")
  [ "$(hg "$m" 20 cat-file -t "$commit" 2>&1)" = commit ] || { hg "$m" 20 update-ref -d "$ref"; unreadable "$branch is no commit"; }
fi

# What is upstream: asked there; when that does not answer, as it was when the mirror was fetched.
resolved() { hg "$m" 20 rev-parse -q --verify "$1^{commit}" 2>/dev/null; }
is_in() { hg "$m" 60 merge-base --is-ancestor "$1" "$2" 2>/dev/null; }
main=$(resolved "refs/heads/$default") || main=$(resolved HEAD) || main=''
if there=$(remote_head "$target" 30 2>/dev/null); then
  if [ -n "$there" ] && ! resolved "$there" >/dev/null; then
    text=$(hg "$m" 600 fetch -q --no-tags --no-write-fetch-head "$url" "+refs/heads/$target:${ref%head}upstream" 2>&1) || git_said $? "$text"
  fi
else
  there=$(resolved "refs/heads/$target") || there=''
fi
onto=${there:-$main}
if [ -n "$onto" ]; then
  is_in "$commit" "$onto" && refuse nothing_to_push "Nothing of $branch is missing upstream: $(if [ -n "$there" ]; then echo "$target"; else echo "$default"; fi) of $org/$repo has all of its commits."
  from=$(hg "$m" 60 merge-base "$onto" "$commit" 2>/dev/null) ||
    refuse unrelated_history "The history of $branch has no commit in common with $org/$repo."
  [ -n "$there" ] && [ "$from" != "$there" ] &&
    refuse push_rejected "$target of $org/$repo has commits that $branch does not have, and nothing is pushed over them."
else
  from=$(hg "$m" 20 hash-object -t tree --stdin)
fi

changed() { (ulimit -v 6291456; hg "$m" 60 diff --no-ext-diff --no-textconv --no-color "$@" "$from" "$commit" -- "${only[@]}" 2>/dev/null); }
only=()
stat=$(changed --stat=90,64 --stat-count=25 | head -c 3000) && [ -n "$stat" ] || stat=' (git gave no summary of the change)'
only=(':(icase).github/workflows' ':(icase).gitea/workflows' ':(icase).forgejo/workflows')
workflows=$(changed --no-renames --name-only | head -c 100) || workflows=unknown
say commit "$commit"
say commits "$(hg "$m" 60 rev-list --count "$commit" --not ${onto:+"$onto"} ${main:+"$main"} 2>/dev/null)"
say stat "$(printf '%s' "$stat" | base64 -w 0)"
say workflows "$(( ${#workflows} > 0 ))"
say new_branch "$([ -n "$there" ] && echo 0 || echo 1)"
end
