# REPOS_BASE RUNTIME IMAGE WORKSPACE MIRROR SECONDS BASE BYTES: the change from where the workspace left the branch BASE upstream to its
# working tree, new files included, as git says it in a container: one line of numbers, an empty one, the diff.
base=$1 RT=$2 image=$3 w=$4 m=$5 limit=$6 branch=$7 bytes=$8
credentials=() # none: the mirror is only read
file=$base/.parts/diff.$$
trap 'rm -f -- "$file"' EXIT
from=''
[ -n "$m" ] && [ -n "$branch" ] && from=$(hg "$m" 20 rev-parse -q --verify "refs/heads/$branch^{commit}" 2>/dev/null)
[ -z "$m" ] && [ -n "$branch" ] && from=refs/remotes/origin/$branch

# A copy of the index (as old as it is: by that git knows which files to look into), in which new files are only announced: for
# that git writes an empty object.
look "$bytes" "$file" "$image" sh -c "$in_box"'
from=$(git rev-parse -q --verify "HEAD^{commit}") || from=$(git hash-object -t tree --stdin </dev/null)
[ -n "$1" ] && left=$(git merge-base "$1" HEAD 2>/dev/null) && from=$left
index=$(git rev-parse --git-path index) && cp -p "$index" "$t/index" 2>/dev/null
objects=$(git rev-parse --path-format=absolute --git-path objects) && mkdir "$t/objects"
export GIT_INDEX_FILE="$t/index" GIT_OBJECT_DIRECTORY="$t/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects"
git add -N --ignore-errors -- . >/dev/null 2>&1
{ git diff --no-ext-diff --no-textconv --no-color --src-prefix=a/ --dst-prefix=b/ --shortstat -p "$from" --; echo $? >"$t/code"; } | head -c "$2"
code=$(cat "$t/code")
[ "$code" = 0 ] || [ "$code" = 141 ] || exit 4' sm "$from" "$bytes" || look_failed $?
say found "$(base64 -w 0 <"$file")"
end
