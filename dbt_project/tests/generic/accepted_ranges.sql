{#-
    Given values of many columns lie between their bounds, both included, seen in one pass; fails by as many as do not.
    News, not a fault: warns.
    ranges: {column: [lowest, highest]}
-#}
{% test accepted_ranges(model, ranges) %}
    {{ config(severity='warn', fail_calc='coalesce(sum(failures), 0)') }}
    with

    counted as (

        select
            unnest([
                {%- for column, bounds in ranges.items() %}
                {
                    'column_name': '{{ column }}',
                    'failures': count(*) filter (where {{ column }} not between {{ bounds[0] }} and {{ bounds[1] }})
                }
                {{- "," if not loop.last }}
                {%- endfor %}
            ]) as found
        from {{ model }}

    )

    select
        found.column_name,
        found.failures
    from counted
    where found.failures > 0
{% endtest %}
