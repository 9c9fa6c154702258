from .written import check_form as check_form
from .written import planes_of as planes_of
from .written import write_result_volume as write_result_volume
from .written import write_volume as write_volume
