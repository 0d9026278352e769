"""A Mattermost on loopback: REST, WebSocket, buttons, as unkind as the real one was seen to be."""
