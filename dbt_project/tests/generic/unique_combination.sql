{#- No two rows share these columns; as in SQL's own unique constraint, a NULL is equal to nothing. -#}
{% test unique_combination(model, columns) %}
    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    where {{ columns | join(' is not null and ') }} is not null
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
