{#-
    True where a position falls in the bounding box of metropolitan France or of one of its overseas territories.
    No box holds a point whose mirror (axes swapped) is in a box, so the right order of a pair can be told.
-#}
{% macro is_in_france(latitude, longitude) -%}
    {%- set boxes = [
        ('France métropolitaine', 41.2, 51.2, -5.3, 9.7),
        ('Guadeloupe', 15.7, 16.6, -61.9, -60.9),
        ('Martinique', 14.3, 15.0, -61.3, -60.7),
        ('Guyane', 2.0, 6.0, -54.7, -51.5),
        ('La Réunion', -21.5, -20.8, 55.1, 55.9),
        ('Mayotte', -13.1, -12.5, 44.9, 45.4),
        ('Saint-Pierre-et-Miquelon', 46.7, 47.2, -56.5, -56.0),
        ('Saint-Martin et Saint-Barthélemy', 17.8, 18.2, -63.2, -62.7),
        ('Nouvelle-Calédonie', -23.0, -19.3, 163.3, 168.4),
        ('Polynésie française', -28.0, -7.8, -155.0, -134.0),
        ('Wallis-et-Futuna', -14.5, -13.1, -178.3, -176.0),
    ] -%}
    (
        {%- for _, south, north, west, east in boxes %}
        (
            {{ latitude }} between {{ south }} and {{ north }}
            and {{ longitude }} between {{ west }} and {{ east }}
        )
        {{- " or" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
