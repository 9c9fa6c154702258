from .decoding import decode_mask as decode_mask
from .mask_files import read_mask as read_mask
from .outlines import labels_of_regions as labels_of_regions
from .painting import paint as paint
from .report import DecodedMask as DecodedMask
from .report import MaskReport as MaskReport
from .report import UnknownColour as UnknownColour
