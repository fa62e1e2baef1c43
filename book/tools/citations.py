"""Written-out citations and the closing list of references, from the BibTeX file."""

from pathlib import Path

from pybtex.database import Entry, parse_file
from pybtex.richtext import Text


class Bibliography:
    """The works of a `.bib` file: `(Jacot et al., 2018)` in the text, in full at the end."""

    def __init__(self, path: Path) -> None:
        self._entries = parse_file(str(path)).entries

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def cite(self, keys: list[str], textual: bool = False) -> str:
        """Authors and years, in brackets or, where `textual`, as part of the sentence."""
        works = [(_short(self._entries[key]), self._entries[key].fields["year"]) for key in keys]
        if textual:
            return ", ".join(f"{names} ({year})" for names, year in works)
        return "(" + "; ".join(f"{names}, {year}" for names, year in works) + ")"

    def full(self, keys: list[str]) -> str:
        """The works in full, as a Markdown list ordered by author and year."""
        entries = [self._entries[key] for key in keys]
        entries.sort(key=lambda entry: (_short(entry), entry.fields["year"]))
        return "\n".join(f"- {_full(entry)}" for entry in entries)


def _plain(latex: str) -> str:
    return str(Text.from_latex(latex)).replace("\u00a0", " ")


def _surname(person) -> str:
    return _plain(" ".join(person.prelast_names + person.last_names))


def _short(entry: Entry) -> str:
    names = [_surname(person) for person in entry.persons["author"]]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)


def _full(entry: Entry) -> str:
    fields = entry.fields
    names = [
        _plain(" ".join([*person.first_names, *person.middle_names])) + " " + _surname(person)
        for person in entry.persons["author"]
    ]
    joined = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    venue = fields.get("journal") or fields.get("booktitle") or fields.get("publisher") or ""
    title = _plain(fields["title"])
    text = f"{joined} ({fields['year']}). *{title}*" + ("" if title[-1] in "?!" else ".")
    text += f" {_plain(venue)}." if venue else ""
    address = fields.get("url") or (f"https://doi.org/{fields['doi']}" if "doi" in fields else "")
    return text + (f" [{address}]({address})" if address else "")
