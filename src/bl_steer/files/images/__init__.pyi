from .micrographs import Micrographs as Micrographs
from .micrographs import folder_named as folder_named
from .micrographs import list_images as list_images
from .micrographs import read_colours as read_colours
from .micrographs import read_micrographs as read_micrographs
from .pages import MAX_PIXELS as MAX_PIXELS
from .pages import read_indices as read_indices
from .pages import size_of as size_of
