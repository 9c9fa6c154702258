"""Who may do what: a row for each route. A route without a row cannot be made.

`bl_steer.server.web.authorization` enforces it, before anything of a request's body is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ACCESS", "FORM_BYTES", "Rule"]

FORM_BYTES = 256 * 1024
"""Longest form or JSON body."""


@dataclass(frozen=True)
class Rule:
    """What a request must bring.

    Parameters
    ----------
    who : anyone, or the least role: user, reviewer, admin
    body : none, form (with the session's CSRF token in it), json, or files, which the
        route itself reads as they come
    scope : what a program's key must allow; empty where programs have no business
    secret : the path holds a secret, and stays out of the access log
    free : not counted against the rate
    members : open, too, to the members of a group that the file or job of the path is shared with
    """

    who: Literal["anyone", "user", "reviewer", "admin"]
    body: Literal["none", "form", "json", "files"] = "none"
    scope: str = ""
    secret: bool = False
    free: bool = False
    members: bool = False


ANYONE = Rule("anyone")
FREE = Rule("anyone", free=True)
USER = Rule("user")
READER = Rule("user", members=True)
READER_FREE = Rule("user", free=True, members=True)
"""Tiles of an image: to look at one asks for dozens."""
LINK = Rule("anyone", secret=True)
LINK_FREE = Rule("anyone", secret=True, free=True)
USER_FORM = Rule("user", "form")
ADMIN = Rule("admin")
ADMIN_FORM = Rule("admin", "form")

ACCESS: dict[str, Rule] = {
    "GET /": ANYONE,
    "GET /static/{name}": FREE,
    "GET /sign-in": ANYONE,
    "POST /sign-in": Rule("anyone", "form"),
    "POST /sign-out": USER_FORM,
    "GET /register": ANYONE,
    "POST /register": Rule("anyone", "form"),
    "GET /join/{token}": Rule("anyone", secret=True),
    "POST /join/{token}": Rule("anyone", "form", secret=True),
    "GET /reset": ANYONE,
    "POST /reset": Rule("anyone", "form"),
    "GET /reset/{token}": Rule("anyone", secret=True),
    "POST /reset/{token}": Rule("anyone", "form", secret=True),
    "GET /oidc/start": ANYONE,
    "GET /oidc/callback": Rule("anyone", secret=True),
    "POST /language": Rule("anyone", "form"),
    "GET /s/{token}": LINK,
    "GET /s/{token}/outputs/{name}": LINK,
    "GET /s/{token}/tables/{name}": LINK,
    "GET /s/{token}/all.zip": LINK,
    "GET /s/{token}/views/{view}": LINK,
    "GET /s/{token}/views/{view}/{layer}/tiles/{plane}/{step}/{x}/{y}": LINK_FREE,
    "GET /s/{token}/views/{view}/{layer}/values/{plane}/{x}/{y}": LINK_FREE,
    "GET /health": FREE,
    "GET /ready": FREE,
    "GET /metrics": Rule("anyone", scope="metrics:read"),
    "GET /files": USER,
    "POST /files": Rule("user", "files"),
    "GET /files/{upload_id}": READER,
    "POST /files/{upload_id}/delete": USER_FORM,
    "POST /files/{upload_id}/training": USER_FORM,
    "GET /files/{upload_id}/view": READER,
    "GET /files/{upload_id}/layers": READER,
    "GET /files/{upload_id}/layers/{layer}/tiles/{plane}/{step}/{x}/{y}": READER_FREE,
    "GET /files/{upload_id}/layers/{layer}/values/{plane}/{x}/{y}": READER_FREE,
    "GET /analyses": USER,
    "GET /analyses/{name}": USER,
    "POST /analyses/{name}": USER_FORM,
    "GET /jobs": USER,
    "GET /jobs/{job_id}": READER,
    "GET /jobs/{job_id}/progress": READER,
    "POST /jobs/{job_id}/cancel": USER_FORM,
    "GET /jobs/{job_id}/outputs/{name}": READER,
    "GET /jobs/{job_id}/tables/{name}": READER,
    "GET /jobs/{job_id}/all.zip": READER,
    "GET /jobs/{job_id}/shares": USER,
    "POST /jobs/{job_id}/shares": USER_FORM,
    "POST /jobs/{job_id}/masks": Rule("user", "files"),
    "GET /jobs/{job_id}/views/{view}": READER,
    "GET /jobs/{job_id}/views/{view}/{layer}/tiles/{plane}/{step}/{x}/{y}": READER_FREE,
    "GET /jobs/{job_id}/views/{view}/{layer}/values/{plane}/{x}/{y}": READER_FREE,
    "GET /jobs/{job_id}/views/{view}/{layer}/planes/{plane}": USER,
    "POST /jobs/{job_id}/views/{view}/proposal": Rule("user", "files"),
    "GET /jobs/{job_id}/paint/{view}": USER,
    "GET /training": USER,
    "POST /training": USER_FORM,
    "POST /training/{retraining_id}/submit": USER_FORM,
    "POST /shares/{share_id}/revoke": USER_FORM,
    "GET /groups": USER,
    "POST /groups": USER_FORM,
    "GET /groups/{group_id}": USER,
    "POST /groups/{group_id}/members": USER_FORM,
    "POST /groups/{group_id}/members/{user_id}/remove": USER_FORM,
    "POST /groups/{group_id}/end": USER_FORM,
    "POST /groups/{group_id}/unshare": USER_FORM,
    "GET /sharing": USER,
    "POST /sharing": USER_FORM,
    "GET /account": USER,
    "POST /account": USER_FORM,
    "POST /account/password": USER_FORM,
    "POST /account/keys": USER_FORM,
    "POST /account/keys/end": USER_FORM,
    "POST /account/keys/{key_id}/revoke": USER_FORM,
    "POST /account/sessions/end": USER_FORM,
    "POST /account/sessions/{session_id}/end": USER_FORM,
    "GET /api": USER,
    "GET /packages": USER,
    "POST /packages": Rule("user", "files"),
    "GET /packages/{sha256}": USER,
    "GET /packages/{sha256}/archive": USER,
    "GET /packages/{sha256}/given": USER,
    "GET /packages/{sha256}/preview": USER,
    "POST /packages/{sha256}": USER_FORM,
    "GET /admin": ADMIN,
    "GET /admin/users": ADMIN,
    "POST /admin/users": ADMIN_FORM,
    "GET /admin/users/{user_id}": ADMIN,
    "POST /admin/users/{user_id}": ADMIN_FORM,
    "POST /admin/users/{user_id}/close": ADMIN_FORM,
    "POST /admin/users/{user_id}/reset": ADMIN_FORM,
    "POST /admin/invitations": ADMIN_FORM,
    "GET /admin/access": ADMIN,
    "GET /admin/audit": ADMIN,
    "GET /api/v1/openapi.json": ANYONE,
    "GET /api/v1/me": Rule("user", scope="jobs:read"),
    "GET /api/v1/analyses": Rule("user", scope="jobs:read"),
    "GET /api/v1/analyses/{name}": Rule("user", scope="jobs:read"),
    "GET /api/v1/files": Rule("user", scope="files:read"),
    "POST /api/v1/files": Rule("user", "files", scope="files:write"),
    "GET /api/v1/files/{upload_id}": Rule("user", scope="files:read", members=True),
    "DELETE /api/v1/files/{upload_id}": Rule("user", scope="files:write"),
    "GET /api/v1/jobs": Rule("user", scope="jobs:read"),
    "POST /api/v1/jobs": Rule("user", "json", scope="jobs:write"),
    "GET /api/v1/jobs/{job_id}": Rule("user", scope="jobs:read", members=True),
    "POST /api/v1/jobs/{job_id}/cancel": Rule("user", scope="jobs:write"),
    "GET /api/v1/jobs/{job_id}/outputs/{name}": Rule("user", scope="jobs:read", members=True),
    "POST /api/v1/jobs/{job_id}/shares": Rule("user", "json", scope="jobs:write"),
    "POST /api/v1/jobs/{job_id}/masks": Rule("user", "files", scope="files:write"),
    "GET /api/v1/groups": Rule("user", scope="jobs:read"),
    "POST /api/v1/groups": Rule("user", "json", scope="groups:write"),
    "GET /api/v1/groups/{group_id}": Rule("user", scope="jobs:read"),
    "DELETE /api/v1/groups/{group_id}": Rule("user", scope="groups:write"),
    "POST /api/v1/groups/{group_id}/members": Rule("user", "json", scope="groups:write"),
    "DELETE /api/v1/groups/{group_id}/members/{user_id}": Rule("user", scope="groups:write"),
    "PUT /api/v1/groups/{group_id}/files/{upload_id}": Rule("user", scope="files:write"),
    "DELETE /api/v1/groups/{group_id}/files/{upload_id}": Rule("user", scope="files:write"),
    "PUT /api/v1/groups/{group_id}/jobs/{job_id}": Rule("user", scope="jobs:write"),
    "DELETE /api/v1/groups/{group_id}/jobs/{job_id}": Rule("user", scope="jobs:write"),
    "GET /api/v1/packages": Rule("user", scope="packages:write"),
    "POST /api/v1/packages": Rule("user", "files", scope="packages:write"),
    "GET /api/v1/packages/{sha256}": Rule("user", scope="packages:write"),
    "DELETE /api/v1/shares/{share_id}": Rule("user", scope="jobs:write"),
}
