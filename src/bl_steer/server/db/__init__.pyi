from .audit import broken_link as broken_link
from .audit import record_event as record_event
from .database import Database as Database
from .database import rows_changed as rows_changed
from .tables import Base as Base
