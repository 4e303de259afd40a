{#- The COG's year of a row: the one in its file's name, or else the year it was extracted (some names tell none). -#}
{% macro cog_year() -%}
    coalesce(
        try_cast(
            regexp_extract(parse_filename(coalesce(_source_member, _source_file)), '(?:19|20)[0-9]{2}') as integer
        ),
        year(_extraction_date)::integer
    )
{%- endmacro %}
