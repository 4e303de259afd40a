{#-
    The current state of a bronze table: each resource's rows as its newest extraction saw them.
    A semi join rather than a window: it reads two columns twice instead of holding every column in memory.
-#}
{% macro latest_extraction(relation) -%}
    select *
    from {{ relation }} as bronze
    semi join (
        select
            _resource_id,
            max(_extraction_date) as _extraction_date
        from {{ relation }}
        group by _resource_id
    ) as newest
        on
            bronze._resource_id is not distinct from newest._resource_id
            and bronze._extraction_date is not distinct from newest._extraction_date
{%- endmacro %}
