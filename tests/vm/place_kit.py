"""A mirror and a workspace that borrows its objects, as a preparation leaves them."""

from git_kit import git


class Place:
    """A workspace that borrows from a mirror, as `prepare` makes them."""

    def __init__(self, peer, repository):
        self.mirror = peer.repos / ".mirrors/github.com/acme/webapp.git"
        self.path = peer.repos / "github.com/acme/webapp"
        git("clone", "-q", "--bare", str(repository.path), str(self.mirror))
        git("clone", "-q", "--shared", str(self.mirror), str(self.path))

    def git(self, *words):
        return git("-c", "user.name=Agent", "-c", "user.email=agent@example.com", *words, cwd=self.path)

    def write(self, name, text):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, name="work.txt", text="work\n", message="Work"):
        self.write(name, text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")
