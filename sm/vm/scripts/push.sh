# REPOS_BASE ORG REPO EPOCH GIT_BASE_URL COMMIT TARGET: pushes exactly this commit of the mirror to a branch, never by force.
# Harmless when run again: first it is asked where the branch is.
epoch=$4 commit=$6 target=$7
paths "$1" "$2" "$3" "$5"
have_mirror
hold "$m." "$epoch" 60
arrived() {
  hg "$m" 20 update-ref "refs/heads/$target" "$commit" 2>/dev/null # where the workspaces see it, too
  say pushed 1
  end
}

[ "$(hg "$m" 20 cat-file -t "$commit" 2>&1)" = commit ] || refuse commit_missing "The mirror of $org/$repo on the VM has no commit $commit."
[ "$(hg "$m" 20 symbolic-ref -q HEAD)" != "refs/heads/$target" ] ||
  refuse default_branch "$target is the default branch of $org/$repo: nothing is pushed to it from here."
said=$(remote_head "$target" 90 2>&1) || git_said $? "$said"
[ "$said" = "$commit" ] && arrived

text=$(hg "$m" 900 -c push.followTags=false -c push.gpgSign=false push --porcelain --no-follow-tags --recurse-submodules=no "$url" "$commit:refs/heads/$target" 2>&1) && arrived
code=$?
case $text in
  *'[rejected]'*) refuse push_rejected "$target of $org/$repo has commits that are not in what would be pushed, and nothing is pushed over them." ;;
  *workflow*scope* | *'without `workflow`'*) refuse workflow_scope "$org/$repo takes no change of .github/workflows from this token: GH_TOKEN needs the scope workflow (a fine-grained one: Workflows, write). It says: $(masked "$text")" ;;
  *'[remote rejected]'*) refuse push_declined "$org/$repo did not take $target: $(masked "$text")" ;;
  *'could not read Username'* | *'Authentication failed'* | *'ermission denied'* | *'denied to'* | *'returned error: 403'* | *'returned error: 401'*)
    refuse no_access "The VM may not write to $org/$repo: GH_TOKEN in the login environment of $(id -un) needs write access to its contents. It says: $(masked "$text")" ;;
esac
# The connection broke: what was sent may have arrived.
[ "$(remote_head "$target" 60 2>/dev/null)" = "$commit" ] && arrived
away "Whether $target arrived at $org/$repo is not known: $(masked "$text")"
