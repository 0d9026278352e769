# REPOS_BASE ORG REPO EPOCH RUNTIME IMAGE GIT_BASE_URL: the bare mirror, and the main clone that borrows its objects.
# Git on the host touches the mirror only; the clone is made and read inside a container without a network.
epoch=$4 RT=$5 image=$6
paths "$1" "$2" "$3" "$7"
w=$base/$slug part=$base/.parts/$slug made=$base/.made/$slug

for path in "$m" "$w" "$part" "$made"; do folder "${path%/*}"; done
hold "$m." "$epoch" 60
trap 'rm -f -- "$part.err"' EXIT

fresh=1
if [ -e "$w" ] || [ -L "$w" ]; then
  [ -d "$w" ] && ! [ -L "$w" ] && [ -s "$made" ] && [ "$(<"$made")" = "$(stat -c %i "$w")" ] ||
    refuse path_taken "At $w on the VM there is something that was not made here; move it away: mv $w $w.old"
  fresh=0
fi

if ! [ -f "$m/HEAD" ]; then
  rm -rf -- "$m.part"
  text=$(env -C / git init -q --bare "$m.part" 2>&1 8>&-) || git_said $? "$text"
  heads=$(hg "$m.part" 90 ls-remote --symref "$url" HEAD 2>"$part.err") || { code=$?; text=$(tail -c 4000 "$part.err"); git_said "$code" "$text"; }
  text=$(hg "$m.part" 1500 fetch -q --no-write-fetch-head "$url" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' 2>&1) || git_said $? "$text"
  head=$(sed -n 's/^ref: \(refs\/heads\/[^[:space:]]*\)[[:space:]]HEAD$/\1/p' <<<"$heads" | head -n 1)
  [ -z "$head" ] || hg "$m.part" 20 symbolic-ref HEAD "$head" || git_said $? "its default branch could not be set"
  hg "$m.part" 20 config remote.origin.url "$url" || git_said $? "its address could not be stored"
  mv -T -- "$m.part" "$m" || refuse path_taken "At $m on the VM there is something that is no mirror; move it away."
fi

limit=600
if (( fresh )); then
  rm -rf -- "$part"
  folder "$part"
  text=$(box -v "$part:/workspace" -w /workspace "$image" git clone -q --shared -- "$m" /workspace 2>&1) || {
    code=$?
    box_failed "$code" "$text" 'makes the clone'
    git_said "$code" "$text"
  }
  text=$(stat -c %i "$part" 2>&1 >"$made.part" && mv -f -- "$made.part" "$made" 2>&1) || refuse "$(no_room "$text")" "$made cannot be written on the VM: $text"
  mv -T -- "$part" "$w" || refuse path_taken "At $w on the VM there is something that was not made here; move it away."
  branch=$(hg "$m" 20 symbolic-ref -q --short HEAD)
  head=$(hg "$m" 20 rev-parse -q --verify HEAD)
else
  limit=60
  text=$(box --read-only -v "$w:/workspace:ro" -w /workspace "$image" \
    sh -c 'git symbolic-ref -q --short HEAD || echo; git rev-parse -q --verify HEAD || echo' 2>"$part.err" | head -c 1000) ||
    refuse clone_unreadable "The clone $w cannot be read: $(masked "$(tail -c 2000 "$part.err")")"
  { read -r branch; read -r head; } <<<"$text"
fi
say path "$w"
say mirror "$m"
say branch "${branch:-}"
say head "${head:-}"
say created "$fresh"
end
