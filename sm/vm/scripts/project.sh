# PATH RUNTIME IMAGE REPOS_BASE WORKTREES SESSIONS: a project's folder by its real path, and what git in a container says of it.
asked=$1 RT=$2 image=$3 base=$4 m='' limit=60
w=$(realpath -e -- "$asked" 2>/dev/null) || refuse project_missing "The folder $asked is not there on the VM."
[ -d "$w" ] || refuse project_not_folder "$w is no folder on the VM."
[[ $w == *[$'\n\r\t:']* ]] && refuse bad_path "The real path of $asked has characters that a container cannot mount."
shift 3
inside() { [ "$1" = "$2" ] || [[ $1 == "${2%/}"/* ]]; }
for ours in "$@"; do
  ours=$(realpath -m -- "$ours")
  inside "$w" "$ours" && refuse project_inside "The folder $w lies inside $ours, which belongs to this service."
  inside "$ours" "$w" && refuse project_inside "The folder $w holds $ours, which belongs to this service; name a folder beside it."
done
home=$(realpath -m -- "${HOME:-/}")
inside "$home" "$w" && refuse project_inside "The folder $w holds the home of $(id -un), whose login runs what is written there; name a folder inside it."
for ours in .ssh .config .local; do
  inside "$w" "$home/$ours" && refuse project_inside "The folder $w lies inside $home/$ours, which programs of $(id -un) run by."
done
[ -w "$w" ] && [ -x "$w" ] || refuse project_not_writable "The VM user $(id -un) cannot write in $w: sudo chown -R $(id -un) $w"

folder "$base/.parts"
found=$(box --read-only --tmpfs /tmp:rw,nosuid,nodev,size=64m,mode=1777 -v "$w:/workspace:ro" -w /workspace "$image" \
  sh -c 'git() { command git -c safe.directory="*" -c core.fsmonitor=false "$@"; }
    git rev-parse --git-dir >/dev/null 2>&1 || exit 0
    echo "branch $(git symbolic-ref -q HEAD)"; echo "head $(git rev-parse -q --verify "HEAD^{commit}")"' 2>/dev/null | head -c 1000) || found=''
say path "$w"
say branch "$(sed -n 's|^branch refs/heads/||p' <<<"$found" | head -n 1)"
say head "$(sed -n 's|^head ||p' <<<"$found" | head -n 1)"
end
