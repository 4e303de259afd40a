{#- Metres between two positions in degrees, by the haversine formula on a sphere of the earth's mean radius. -#}
{% macro distance_m(latitude, longitude, other_latitude, other_longitude) -%}
    2 * 6371008.8 * asin(
        least(
            1.0,
            sqrt(
                power(sin(radians({{ other_latitude }} - {{ latitude }}) / 2), 2)
                + cos(radians({{ latitude }})) * cos(radians({{ other_latitude }}))
                * power(sin(radians({{ other_longitude }} - {{ longitude }}) / 2), 2)
            )
        )
    )
{%- endmacro %}
