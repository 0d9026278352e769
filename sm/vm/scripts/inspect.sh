# REPOS_BASE RUNTIME IMAGE WORKSPACE MIRROR SECONDS: what is in a workspace that is nowhere else. What is said here is the agent's
# claim, made in a container: branch, commit, number of commits, number of changed paths, then the paths as git gives them.
base=$1 RT=$2 image=$3 w=$4 m=$5 limit=$6
file=$base/.parts/inspect.$$
trap 'rm -f -- "$file"' EXIT

look 24000 "$file" "$image" sh -c "$in_box"'
git symbolic-ref -q HEAD || echo
head=$(git rev-parse -q --verify "HEAD^{commit}"); echo "$head"
if [ -n "$1" ]; then upstream "$1"; else git for-each-ref --format="^%(objectname)" refs/remotes; fi | sort -u >"$t/not"
if [ -n "$head" ] && { [ -n "$1" ] || [ -s "$t/not" ]; }; then
  git rev-list --count --ignore-missing --stdin HEAD --branches <"$t/not" || exit 4
else
  echo 0
fi
git status --porcelain=v1 -z --no-renames --untracked-files=normal >"$t/status" || exit 4
tr -cd "\000" <"$t/status" | wc -c
head -c 20000 "$t/status"' sm "$m" || look_failed $?
say found "$(base64 -w 0 <"$file")"
end
