"""Public data sets turned into the input contract."""

from .bruun import import_bruun
from .coil import import_coil
from .hillstrom import import_hillstrom
from .santander import import_santander
from .scf import import_scf

__all__ = ["import_bruun", "import_coil", "import_hillstrom", "import_santander", "import_scf"]
