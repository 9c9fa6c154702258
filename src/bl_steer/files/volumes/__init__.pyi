from .written import check_form as check_form
from .written import write_volume as write_volume
