# SESSION_FOLDER EPOCH: from now on an older writer is refused in this session.
folder "$1"
hold "$1/" "$2"
end
