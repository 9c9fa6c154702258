"""Where jobs and their parts are carried out: processes beside this one, a cluster, a server."""
