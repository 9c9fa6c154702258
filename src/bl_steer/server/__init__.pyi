from .client import Client as Client
from .client import JobFailed as JobFailed
from .client import ServerError as ServerError
from .environment import read_settings as read_settings
from .errors import Refused as Refused
from .settings import ServerSettings as ServerSettings
