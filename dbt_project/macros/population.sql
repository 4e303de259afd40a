{#- What legal populations need. -#}

{#-
    The year whose people a file of legal populations counts. The files carry no year: the one in the file's name is
    believed, and else the populations in force on the day of the extraction, which are those of three years before.
    Insee publishes them in the last days of December, for the first of January.
-#}
{% macro population_year() -%}
    coalesce(
        try_cast(
            regexp_extract(parse_filename(coalesce(_source_member, _source_file)), '(?:19|20)[0-9]{2}') as integer
        ),
        year(_extraction_date + interval 7 days)::integer - 3
    )
{%- endmacro %}

{#- A count for every 100,000 inhabitants; NULL where no population is known. -#}
{% macro per_100000(measure, population) -%}
    round(100000 * {{ measure }} / nullif({{ population }}, 0)::double, 3)
{%- endmacro %}

{#-
    A `qualify` condition that leaves each row of a join with the years of mart_population_departement the year that
    fits it best: the newest that is not later, or else the oldest that is known.
-#}
{% macro nearest_population(keys, year, reference_year) -%}
    row_number() over (
        partition by {{ keys | join(', ') }}
        order by {{ reference_year }} <= {{ year }} desc nulls last, abs({{ year }} - {{ reference_year }}) asc
    ) = 1
{%- endmacro %}
