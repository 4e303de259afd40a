"""Names of French streets, the common ones found in every town."""

from __future__ import annotations

_KINDS = ("Rue", "Avenue", "Boulevard", "Place", "Allée", "Chemin", "Impasse", "Quai", "Route")
_NAMES = (
    "de la République", "Jean Jaurès", "du Général de Gaulle", "Victor Hugo", "de la Gare", "de l'Église",
    "Pasteur", "de Verdun", "des Écoles", "du 11 Novembre", "de la Libération", "Émile Zola", "du Château",
    "des Prés", "Gambetta", "de la Forêt", "des Frères Lumière", "du Moulin", "Jules Ferry", "de l'Hôtel de Ville",
    "des Tilleuls", "Aristide Briand", "du Maréchal Leclerc", "Anatole France", "de la Poste", "du Stade",
    "Pierre et Marie Curie", "Marcel Pagnol", "de Bretagne", "de Strasbourg",
)  # fmt: skip

STREETS: tuple[str, ...] = tuple(f"{kind} {name}" for name in _NAMES for kind in _KINDS)
