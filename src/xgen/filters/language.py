"""Keep the documents whose language is on the recipe's list, as py3langid names it from their beginning."""

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

READ = 2_000
"""Characters; the error hardly falls beyond them, the time grows."""


def language_filter(config: FilterConfig) -> Filter:
    """Choose among all languages that the model knows, then compare with the list.

    A model that is restricted to the list has to call every other language one of the list's.
    """
    if not config.languages:
        raise UserError("the filter 'language' with no languages", "at least one", "Set data.filters.languages.")
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # late: only this filter needs the extra
    except ModuleNotFoundError:
        raise UserError(
            "the filter 'language' needs py3langid, which is not installed",
            "the extra that filters need",
            "Install it with: pip install 'xgen[data]'",
        ) from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    if unknown := sorted({*config.languages}.difference(name for name, _ in identifier.rank(""))):
        raise UserError(
            f"the filter 'language' with the languages {unknown}", "codes that py3langid knows", "Use ISO 639-1 codes."
        )
    allowed = frozenset(config.languages)

    def judge(document: Document) -> Document | Drop:
        found, _ = identifier.classify(document.text[:READ])
        return document if found in allowed else Drop("another language")

    return judge
