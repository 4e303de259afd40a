{#-
    The columns whose text was given but did not become a value, comma separated; NULL when all did.
    typed_from: {typed column: the given text it was cast from}
-#}
{% macro invalid_columns(typed_from) -%}
    nullif(
        concat_ws(
            ',',
            {%- for typed, text in typed_from.items() %}
            case when {{ text }} is not null and {{ typed }} is null then '{{ typed }}' end
            {{- "," if not loop.last }}
            {%- endfor %}
        ),
        ''
    )
{%- endmacro %}

{#- The lineage columns every silver model keeps. -#}
{% macro lineage() -%}
    _resource_id,
    _extraction_date,
    _source_file,
    _source_member,
    _source_line,
    _loaded_at
{%- endmacro %}
