{#-
    What each column points to is a row of the same resource in another table; the test fails by as many rows as point
    nowhere. News, not a fault: the files did it.
    references: [{column, to: ref('…'), key}]
-#}
{% test points_to_rows(model, references) %}
    {{ config(fail_calc='coalesce(sum(failures), 0)') }}
    {% for one in references %}
    select
        '{{ one.column }}' as column_name,
        count(*) as failures
    from {{ model }} as here
    anti join {{ one.to }} as there
        on
            here._resource_id = there._resource_id
            and here.{{ adapter.quote(one.column) }}::varchar = there.{{ adapter.quote(one.key) }}::varchar
    where nullif(here.{{ adapter.quote(one.column) }}::varchar, '') is not null
    having count(*) > 0
    {{ "union all" if not loop.last }}
    {% endfor %}
{% endtest %}
