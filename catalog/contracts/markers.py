"""Texts that stand where a value is missing, and say why."""

from __future__ import annotations

# In lower case, without outer spaces. They are counted before any type is tried.
MARKERS = frozenset({
    # the short ones of Insee, Météo-France and many others: non disponible, secret, manquant, non renseigné…
    "nd", "n.d.", "n.d", "n/d", "n.a.", "n.a", "n/a", "na", "#n/a", "#n/d", "#na", "nr", "n.r.", "n/r", "nc",
    "n.c.", "n/c", "ns", "n.s.", "so", "s.o.", "s/o", "s", "c", "mq",
    # signs, and the words of programs
    "null", "(null)", "<null>", "none", "nan", "nil", "-", "--", "---", "—", "–", ".", "..", "...", "…", "/", "?",
    "??", "#", "*",
    # words
    "secret", "inconnu", "inconnue", "inconnus", "unknown", "undefined", "néant", "neant", "vide", "absent",
    "indisponible", "confidentiel",
    "non renseigné", "non renseignée", "non renseignés", "non renseigne", "non renseignee", "non communiqué",
    "non communiquée", "non communique", "non disponible", "non connu", "non connue", "non déterminé",
    "non determine",
    "non défini", "non définie", "non defini", "sans objet", "non concerné", "non concernée", "non concerne",
    "non applicable", "not available", "valeur manquante", "donnée manquante", "à renseigner", "non précisé",
    # no EPCI (Insee), and the errors of spreadsheets
    "zzzzzzzzz", "#ref!", "#valeur!", "#value!", "#div/0!", "#nom?", "#name?", "#nul!", "#nombre!", "#num!",
})  # fmt: skip
