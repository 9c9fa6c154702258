"""The analysis server: upload, choose an analysis, get the result; reviewed packages; nothing lost.

Start at `bl_steer.server.db.tables` (what is kept), then `bl_steer.server.jobs.queue` (how a job
goes from queued to done). Three parts run it: the access point (`app`), the `worker` and the
`keeper`.
"""
