"""Tokens over HTTP."""

import json

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.access.model import CreatedToken, NewToken, RevokedToken, TokenShown
from prism.access.service import TokenService
from prism.kit.routes import Routes

Tokens = NamedDependency[TokenService]
CREATE = "/api/v1/tokens"
router = Routes(CREATE, tags=["tokens"])


@router.get(sync_to_thread=True)
def list_tokens(tokens: Tokens) -> list[TokenShown]:
    """List your tokens, without their secrets; the operator sees everybody's."""
    return tokens.every()


@router.post(sync_to_thread=True)
def create_token(data: JSONBody[NewToken], tokens: Tokens) -> CreatedToken:
    """Make a token; only this answer contains its secret."""
    return tokens.create(data)


@router.delete("/{id:str}", status_code=200, sync_to_thread=True)
def revoke_token(id: FromPath[str], tokens: Tokens) -> RevokedToken:
    """Revoke a token, and every token that was made with it."""
    token, more = tokens.revoke(id)
    note = f", and {more} made with it" if more else ""
    return RevokedToken(f"Token {token.name!r} revoked successfully{note}")


def without_token(body: bytes) -> bytes:
    """The answer without its secret, to store for a repeated request."""
    return json.dumps({**json.loads(body), "token": None}).encode()
