{#-
    The rules of a table's contract, all in one pass; the test fails by as many values as break one.
    failures: {what to tell: the aggregate that counts what breaks the rule}
-#}
{% test holds_contract(model, failures) %}
    {{ config(fail_calc='coalesce(sum(failures), 0)') }}
    with

    rules as (

        select
            unnest([
                {%- for rule, count in failures.items() %}
                {'rule': '{{ rule | replace("'", "''") }}', 'failures': {{ count }}}{{ "," if not loop.last }}
                {%- endfor %}
            ]) as counted
        from {{ model }}

    )

    select
        counted.rule,
        counted.failures
    from rules
    where counted.failures > 0
{% endtest %}
