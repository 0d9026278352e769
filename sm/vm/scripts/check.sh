# RUNTIME IMAGE NETWORK SESSIONS REPOS: says each thing that a session needs and that is missing.
RT=$1 image=$2 network=$3 sessions=$4 repos=$5
missing() { local code=$1; shift; printf 'missing %s %s\n' "$code" "$(printf '%s' "$*" | one_line)"; }

for tool in git flock setsid timeout; do
  command -v "$tool" >/dev/null || case $tool in
    git) missing git_missing "git is not installed on the VM: apt-get install git" ;;
    *) missing tools_missing "$tool is not installed on the VM: apt-get install util-linux coreutils" ;;
  esac
done
for path in "$sessions" "$repos"; do
  text=$(mkdir -p -- "$path" 2>&1 && [ -w "$path" ]) ||
    missing path_not_writable "The VM user $(id -un) cannot write in $path: sudo install -d -o $(id -un) $path"
done
[ -n "$(printenv ANTHROPIC_API_KEY)" ] ||
  missing api_key_missing "ANTHROPIC_API_KEY is not in the login environment of $(id -un) on the VM: echo 'export ANTHROPIC_API_KEY=…' >> ~/.profile"

if ! command -v "$RT" >/dev/null; then
  missing runtime_missing "$RT is not installed on the VM: apt-get install $([ "$RT" = docker ] && echo docker.io || echo podman)"
elif ! text=$(rt 60 info 2>&1 >/dev/null) && ! { revived "$text" && text=$(rt 60 info 2>&1 >/dev/null); }; then
  missing runtime_failed "$RT does not work for $(id -un) on the VM; see: $RT info. It says: $text"
else
  if [ "$RT" = podman ]; then
    probe_image() { rt 20 image exists "$image"; }
    probe_network() { rt 20 network exists "$network"; }
  else
    probe_image() { rt 20 image inspect "$image"; }
    probe_network() { rt 20 network inspect "$network"; }
  fi
  probe_image >/dev/null 2>&1 || missing image_missing "The image $image is not on the VM: $RT build -t $image . (or $RT pull $image)"
  probe_network >/dev/null 2>&1 || missing network_missing "The network $network is not on the VM: $(make_network)"
fi
if rootless && ! unguarded_sandbox && ! nft_tool >/dev/null; then missing nft_missing "$(without_nft)"; fi

if [ "$RT" = podman ] && [ "$(id -u)" != 0 ]; then
  linger=$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)
  if [ "$linger" = no ] || { [ -z "$linger" ] && [ -d /run/systemd/system ] && ! [ -e "/var/lib/systemd/linger/$(id -un)" ]; }; then
    missing no_linger "Rootless containers of $(id -un) end with the login on the VM: sudo loginctl enable-linger $(id -un)"
  fi
fi
end
