"""The database of features, in MongoDB. `docs/database.md` lists collections and fields.

analysis ──► client.py ──► server
             Database: the only one that speaks to MongoDB
               ├── records.py    SAEs, features and contexts as documents
               └── embedded.py ──► embedded_keeper.py ──► SecantusDB
                   where no address is given; the keeper is a process of its own
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
