"""Names to addresses, asked of the operator's DNS server or of this machine's own resolver."""

from sm.resolver.resolver import MAX_ADDRESSES, TIMEOUT_S, Resolution, Resolver, where

__all__ = ["MAX_ADDRESSES", "TIMEOUT_S", "Resolution", "Resolver", "where"]
