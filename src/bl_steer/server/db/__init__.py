"""The tables of the server, the database that holds them, and its migrations."""
