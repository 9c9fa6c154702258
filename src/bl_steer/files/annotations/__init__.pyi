from .any_annotation import ANNOTATIONS as ANNOTATIONS
from .any_annotation import images_of as images_of
from .any_annotation import is_annotation as is_annotation
from .any_annotation import read_annotation as read_annotation
from .regions import Annotation as Annotation
from .regions import Region as Region
