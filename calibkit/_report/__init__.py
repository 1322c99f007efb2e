"""Reports: their facts, and the page that shows them."""

from ._comparison import COMPARED as COMPARED
from ._comparison import digits as digits
from ._comparison import meaning as meaning
from ._comparison import several_pairs as several_pairs
from ._facts import ERRORS as ERRORS
from ._facts import LABELS as LABELS
from ._facts import Step as Step
from ._facts import facts as facts
from ._facts import is_miscalibrated as is_miscalibrated
from ._facts import means_of as means_of
from ._facts import settings as settings
from ._facts import spaced as spaced
from ._facts import title as title
from ._groups import FLAG as FLAG
from ._json import json_text as json_text
from ._json import plain as plain
from ._pictures import diagram as diagram
from ._problem import Problem as Problem
