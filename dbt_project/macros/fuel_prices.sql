{#- What the fuel price files need and no other domain does. -#}

{#-
    A town's key for finding its commune by name: as name_key, with `St` and `Ste` written out, and without `Cedex 2`,
    the number of a district (`Lyon 3ème`) and ligatures, which strip_accents keeps. A name made of digits has no key.
-#}
{% macro town_key(column) -%}
    {%- set plain = "strip_accents(replace(replace(lower(" ~ column ~ "), 'œ', 'oe'), 'æ', 'ae'))" -%}
    {%- set without_district -%}
        regexp_replace({{ plain }}, '(\bcedex\b.*|\s*\(?\d+ ?(er|e|eme)?\)?( arr.*)?)\s*$', '')
    {%- endset -%}
    {%- set spelt_out = "regexp_replace(" ~ without_district ~ ", '\\bst(e?)\\b', 'saint\\1', 'g')" -%}
    {{ name_key(spelt_out) }}
{%- endmacro %}

{#- Degrees, from the files' hundred thousandths of a degree. -#}
{% macro degrees(text) -%}
    {{ finite_number(text) }} / 100000
{%- endmacro %}

{#- What every mart of fuel prices tells of a group of station prices; `change_eur_per_litre` is one of their columns. -#}
{% macro fuel_price_measures() -%}
    count(*) as station_count,
    count(*) filter (where days_since_update = 0) as updated_station_count,
    avg(price_eur_per_litre)::decimal(9, 4) as mean_price_eur_per_litre,
    median(price_eur_per_litre::decimal(9, 4)) as median_price_eur_per_litre,
    min(price_eur_per_litre) as min_price_eur_per_litre,
    max(price_eur_per_litre) as max_price_eur_per_litre,
    count(change_eur_per_litre) as compared_station_count,
    count(*) filter (where change_eur_per_litre > 0) as raised_station_count,
    count(*) filter (where change_eur_per_litre < 0) as lowered_station_count,
    avg(change_eur_per_litre)::decimal(9, 4) as mean_change_eur_per_litre
{%- endmacro %}

{#- Prices of each day beside the same station's and fuel's of the day before, to be counted; needs `prices`. -#}
{% macro price_changes() -%}
    select
        prices.*,
        prices.price_eur_per_litre - previous.price_eur_per_litre as change_eur_per_litre
    from prices
    left join prices as previous
        on
            prices.station_id = previous.station_id
            and prices.fuel_code = previous.fuel_code
            and prices.price_date = previous.price_date + 1
{%- endmacro %}
