"""Public data sets turned into the input contract."""

from .bruun import import_bruun
from .santander import import_santander
from .scf import import_scf

__all__ = ["import_bruun", "import_santander", "import_scf"]
