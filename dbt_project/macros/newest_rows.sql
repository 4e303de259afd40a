{#-
    A `qualify` condition that keeps each accident as its newest file tells it, when two files tell the same accident
    (a year published again under another resource). With row_key, a row repeated within that file counts once.
    Rows without an accident number are all kept: they are for a person to look at.
-#}
{% macro newest_rows(row_key=none) -%}
    accident_id is null
    or (
        dense_rank() over (
            partition by accident_id
            order by _extraction_date desc, _resource_id desc, _source_file desc, _source_member desc nulls last
        ) = 1
        {%- if row_key is not none %}
        and row_number() over (
            partition by accident_id, coalesce({{ row_key }}, _source_line::varchar)
            order by
                _extraction_date desc, _resource_id desc, _source_file desc, _source_member desc nulls last,
                _source_line desc
        ) = 1
        {%- endif %}
    )
{%- endmacro %}
