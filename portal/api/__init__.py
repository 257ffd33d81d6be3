"""The API's common ground: errors, paging, tokens, OpenAPI; it knows no endpoint."""
