# GENERATION_FOLDER RUNTIME: what stands there; changes nothing.
RT=$2
report "$1"
end
