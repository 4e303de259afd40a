"""What the words of a header say of a column, where its values alone do not tell."""

from __future__ import annotations

import re
from functools import cache

from catalog.contracts.types import LogicalType
from catalog.names import to_snake

# The header of a quantity, whatever it is a quantity of: `nb_communes`, `population_departement`, `part_siren`.
_QUANTITY = re.compile(
    r"^(nb|nbr|nbre|nombre|total|tot|somme|montant|mt|prix|cout|taux|tx|part|pct|pourcentage|proportion|surface"
    r"|superficie|aire|valeur|val|moyenne|moy|mediane|min|max|mini|maxi|minimum|maximum|ecart|effectif|effectifs|pop\w*"
    r"|population|densite|altitude|alti|alt|longueur|largeur|hauteur|profondeur|score|rang|annee|an|age|duree|distance"
    r"|vitesse|puissance|indice|count|sum|avg|mean|quantite|qte|volume|poids|nuitees|capacite|places|voix)\b"
)
_CODE = re.compile(
    r"\b(code|codes|cod|id|ids|identifiant\w*|identifier|numero|num|cle|clef|key|ref|reference|matricule|insee|uic|uid"
    r"|uuid|guid|cadastre|section|parcelle|parent|nom|name|libelle|label)\b|\bcod[a-z]{2,}\b|\bno [a-z]|\bid[a-z]{3,}\b"
)
_KEY = re.compile(r"^(id|identifiant|cle|clef|uuid|guid|num|numero|code|ref|reference)\b|\b(id|uuid)$|^id[a-z]+$")
_BOOLEAN = re.compile(r"^(is|has|est|a) \w|^(top|flag)\b|\bbool|\boui\b|\bactif\b|\bactive\b")
_UNIT = re.compile(r"(?:[kM]?€|%)|\(([A-Za-zµ°²³/]{1,6}[0-9]?)\)$")


@cache
def words_of(header: str) -> str:
    """The words of a header, in lower case and without accents: `codeCommune`, `CODE_COMMUNE` are `code commune`."""
    return to_snake(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", header)).removeprefix("c_").replace("_", " ")


def says_type(header: str, type_: LogicalType) -> bool:
    """Whether a header names a logical type."""
    words = words_of(header)
    return type_.words is not None and not _QUANTITY.search(words) and re.search(type_.words, words) is not None


def says_code(header: str) -> bool:
    """Whether a header says that its numbers are names of things, with which no one calculates."""
    words = words_of(header)
    return not _QUANTITY.search(words) and _CODE.search(words) is not None


def says_key(header: str) -> bool:
    """Whether a header says that each row has a value of its own."""
    return _KEY.search(words_of(header)) is not None


def says_boolean(header: str) -> bool:
    """Whether a header says that 0 and 1 are no and yes."""
    return _BOOLEAN.search(words_of(header)) is not None


def said_unit(header: str) -> str | None:
    """The unit a header tells: `% Voix/Exp`, `Montant (k€)`, `Surface (m2)`."""
    found = _UNIT.search(header.strip())
    return (found[1] or found[0]) if found else None
