# RUNTIME NETWORK: the rules of the network for whoever installs them, whole and plain.
RT=$1 network=$2
network_facts
if rootless; then say rootless 1; else say rootless 0; fi
say bridge "$bridge"
say whole "$(rule_set whole | base64 -w 0)"
say plain "$(rule_set plain | base64 -w 0)"
end
