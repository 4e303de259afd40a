{#-
    The rows of a bronze table that are current, in the words of the feed's table (`mode`, `keys`):
    overwrite: each resource's newest extraction; append: all that any extraction brought, a key once told stays as it
    was; upsert: of each key the newest row of all extractions.
    With keys, one row a key: within one extraction of a resource, the last line. A row without any key stays, but for
    upsert. What leaves is in ops.rejects, stage `key`. `catalog/row_choice.py` says the same to builds.
-#}
{% macro current_rows(relation, mode='overwrite', keys=[]) -%}
    select * exclude (_replaced_on)
    from {{ relation }}
    where
        {{ '_replaced_on is null' if mode == 'overwrite' else 'true' }}
        {%- if keys and mode == 'upsert' %}
        and {{ has_key(keys) }}
        {%- endif %}
    {%- if keys %}
    qualify
        {%- if mode != 'upsert' %}
        not {{ has_key(keys) }}
        or {% endif %} row_number() over (
            partition by {{ '_resource_id, ' if mode == 'overwrite' }}{{ keys | join(', ') }}
            order by {{ row_order(mode) }}
        ) = 1
    {%- endif %}
{%- endmacro %}

{#- The current rows of a table whose extractions are each a full version. -#}
{% macro latest_extraction(relation) -%}
    {{ current_rows(relation) }}
{%- endmacro %}

{#- Whether any part of a key is there. -#}
{% macro has_key(keys) -%}
    (coalesce({% for key in keys %}nullif({{ key }}, ''){{ ', ' if not loop.last }}{% endfor %}, '') <> '')
{%- endmacro %}

{#- Of several rows of one key, who comes first. -#}
{% macro row_order(mode) -%}
    {% set way = 'asc' if mode == 'append' else 'desc' -%}
    _extraction_date {{ way }}, _resource_id {{ way }}, _source_member desc nulls last, _source_line desc
{%- endmacro %}
