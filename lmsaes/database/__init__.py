"""What analyses found, in MongoDB. `docs/database.md` lists collections and fields.

client.py ──► records.py (documents and arrays)
    └─ embedded.py ──► embedded_keeper.py ──► SecantusDB, where no address is given
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
