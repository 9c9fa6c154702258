from .audit import broken_link as broken_link
from .audit import record_event as record_event
from .database import Database as Database
from .tables import Base as Base
