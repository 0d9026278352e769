"""Mattermost: REST and WebSocket, what comes in, what goes out."""
