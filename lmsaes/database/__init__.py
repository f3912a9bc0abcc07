"""The database of features, in MongoDB. `docs/database.md` lists collections and fields.

analysis ──► client.py ──► server
             Database
               ├── draft.py       an analysis while it is written, with its lease (leases.py)
               ├── saes.py        records of SAEs, each read for itself
               ├── records.py     SAEs, features and contexts as documents
               ├── graphs.py      attribution graphs (graph_records.py: what one holds)
               ├── curves.py      how trainings went
               ├── explanations.py  what is said of features, which outlives analyses
               ├── dump.py        all of it in one file, and back
               ├── garbage.py     dropping what nobody needs any more
               └── connection.py ──► MongoDB, or
                     embedded.py ──► embedded_keeper.py ──► SecantusDB
                     where no address is given; the keeper is a process of its own
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
