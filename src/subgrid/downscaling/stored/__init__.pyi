from .codec import decode as decode, encode as encode
from .part import load_part as load_part, save_part as save_part
