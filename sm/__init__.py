"""Session Manager: chat with Claude Code through Mattermost, with the network under human control."""
