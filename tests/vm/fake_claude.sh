#!/bin/bash
# An agent for these tests: answers each line of its input, and does what a line tells it.
printf '%s\n' "$@" > argv.txt
env > env.txt
printf 'said on the error output\n' >&2
while IFS= read -r line; do
  case $line in
    *'"do":"leave '*) code=${line#*leave }; exit "${code%%\"*}" ;;
    *'"do":"half"'*) printf '{"half' ;;
    *'"do":"half and leave"'*) printf '{"half'; exit 0 ;;
    *'"do":"long"'*) head -c 5000 /dev/zero | tr '\0' x; printf '\n' ;;
    *'"do":"many"'*) for i in $(seq 2000); do printf '{"n":%d,"text":"%0100d"}\n' "$i" 0; done ;;
    *) printf '{"got":%s}\n' "$line" ;;
  esac
done
