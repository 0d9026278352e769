# GENERATION_FOLDER LINES: the last lines of what the agent's process said on its error output, in base64.
say text "$(tail -n "$2" -- "$1/err" 2>/dev/null | tail -c 4000 | base64 -w 0)"
end
