"""How SAEs and graphs may be called in the database."""

from typing import Annotated

from pydantic import StringConstraints

NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,119}"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
