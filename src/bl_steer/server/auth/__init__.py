"""Who may do what: accounts, keys of programs, OpenID Connect, permissions."""
