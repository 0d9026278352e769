"""Hosts that belong together under one name: what a package manager needs, an index and the files that it points to.

A set is offered, never added by itself. The hosts are those of each project's own documentation, as far as they answer
on port 443 and by name; one that hands out its files elsewhere (GitHub's) names only its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

SHIPPED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "alpine": ("dl-cdn.alpinelinux.org",),
        "cargo": ("index.crates.io", "static.crates.io", "crates.io"),
        "conda": ("conda.anaconda.org", "repo.anaconda.com"),
        "cpan": ("cpan.metacpan.org", "fastapi.metacpan.org"),
        "cran": ("cloud.r-project.org",),
        "debian": ("deb.debian.org", "security.debian.org"),
        "go": ("proxy.golang.org", "sum.golang.org"),
        "hackage": ("hackage.haskell.org",),
        "hex": ("hex.pm", "repo.hex.pm", "builds.hex.pm"),
        "jsr": ("jsr.io", "npm.jsr.io"),
        "maven": ("repo.maven.apache.org", "repo1.maven.org"),
        "npm": ("registry.npmjs.org",),
        "nuget": ("api.nuget.org",),
        "packagist": ("repo.packagist.org", "packagist.org"),
        "pub": ("pub.dev",),
        "python": ("pypi.org", "files.pythonhosted.org"),
        "rubygems": ("rubygems.org", "index.rubygems.org"),
        "rustup": ("static.rust-lang.org",),
        "yarn": ("registry.yarnpkg.com",),
    }
)


def merged(operator: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The shipped sets and the operator's, whose word counts: a set replaces ours of that name, an empty one removes it."""
    both = {**SHIPPED, **{name: tuple(hosts) for name, hosts in operator.items()}}
    return {name: hosts for name, hosts in sorted(both.items()) if hosts}
