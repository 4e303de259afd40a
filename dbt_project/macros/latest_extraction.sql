{#- The current state of a bronze table: each resource's rows as its newest extraction saw them. -#}
{% macro latest_extraction(relation) -%}
    select *
    from {{ relation }}
    where (_resource_id, _extraction_date) in (
        select
            _resource_id,
            max(_extraction_date)
        from {{ relation }}
        group by _resource_id
    )
{%- endmacro %}
