"""Stage three: mining a cache for what each feature fires on."""

from lmsaes.analysis.analyze import analyze, find_saes

__all__ = ["analyze", "find_saes"]
